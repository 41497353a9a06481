"""A client that leaves in the middle of its body: one line at debug level, and nothing else."""

import asyncio
import logging

import pytest

from server.http.errors import LEFT
from tests.server.house import House
from tests.until import SOON, until

JSON = ("application/json", b'{"model": "ragpod", "messages": [{"role": "us')
FORM = (
    "multipart/form-data; boundary=b",
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc',
)
WHOLE = 1000  # bytes that are announced


async def counted(home: House, path: str) -> float:
    """How often a client left, of the metrics."""
    async with home.http.get(f"{home.url}/metrics") as response:
        text = await response.text()
    line = f'ragpod_http_requests_total{{method="POST",route="{path}",status="{LEFT}"}} '
    return sum(float(each.removeprefix(line)) for each in text.splitlines() if each.startswith(line))


@pytest.mark.house("module")
@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", JSON),
        ("/v1/responses", JSON),
        ("/v1/embeddings", JSON),
        ("/v1/vector_stores", JSON),
        ("/api/v1/chat", JSON),
        ("/v1/files", FORM),
    ],
)
async def test_it_is_one_debug_line(
    home: House, caplog: pytest.LogCaptureFixture, path: str, body: tuple[str, bytes], begun: bool
) -> None:
    content_type, part = body
    caplog.set_level(logging.DEBUG)
    host, port = home.url.removeprefix("http://").split(":")
    before = await counted(home, path)
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {WHOLE}\r\n\r\n"
    writer.write(head.encode() + part * begun)
    await writer.drain()
    writer.close()

    async def noticed() -> bool:
        return await counted(home, path) > before

    await until(noticed, SOON)
    told = [record for record in caplog.records if record.name != "uvicorn.access"]
    lines = [(record.levelno, record.name, record.exc_info) for record in told]
    assert lines == [(logging.DEBUG, "ragpod.http", None)]
    assert f"POST {path}: the client left" in caplog.text
