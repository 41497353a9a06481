"""A reader that takes no bytes, over a real socket with a receive buffer of 4 kB: it must not keep an engine's slot."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.answering.test_cancelling_answers import ROUTES
from tests.server.house import KOREAN, QUESTION, House, house
from tests.stub_engine import Finish, Hold, Sleep, Step
from tests.until import PATIENCE, until

STREAMED = [route for route in ROUTES if "stream" in route.values[0] or route.values[1].get("stream")]  # type: ignore[operator, union-attr]
WORD = "a" * 45_000
# More than the kernel holds for a reader (4 MB), piece by piece; then an engine that would go on for ever.
ENDLESS: list[Step] = [step for _ in range(100) for step in (WORD, Sleep(0.001))] + [Hold()]


@pytest.fixture(scope="module")
async def hasty(
    tmp_path_factory: pytest.TempPathFactory, embedder: E5Embedder, tokenizer: Tokenizer
) -> AsyncIterator[House]:
    folder, limits = tmp_path_factory.mktemp("hasty"), {"reader_seconds": 1.0}
    async with house(folder, embedder, tokenizer, limits=limits) as opened:
        await opened.ingest("default", KOREAN)
        yield opened


async def reader(home: House, path: str, body: dict[str, Any]) -> socket.socket:
    """Has asked, and reads nothing."""
    address, content = urlsplit(home.url), orjson.dumps(body)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, (address.hostname, address.port))
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
    head += "Content-Type: application/json\r\n\r\n"
    await loop.sock_sendall(raw, head.encode() + content)
    return raw


@pytest.mark.parametrize(("path", "body"), STREAMED)
async def test_a_reader_that_takes_nothing_loses_its_slot(hasty: House, path: str, body: dict[str, Any]) -> None:
    hasty.stub.script(*ENDLESS)
    with await reader(hasty, path, body):
        await hasty.stub.started()
        await hasty.stub.idle()
        await until(lambda: hasty.parts.admission.running == 0, PATIENCE)
        await until(lambda: not len(hasty.parts.runs), PATIENCE)
        assert hasty.parts.admission.waiting == 0


async def test_a_reader_that_takes_little_at_a_time_has_its_answer_to_the_end(hasty: House) -> None:
    hasty.stub.script(*[step for _ in range(60) for step in ("낱말 ", Sleep(0.03))], Finish())
    body = {"model": "ragpod", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    received = b""
    with await reader(hasty, "/v1/chat/completions", body) as raw:
        async with asyncio.timeout(PATIENCE):
            while b"[DONE]" not in received:
                received += await asyncio.get_running_loop().sock_recv(raw, 64)
                await asyncio.sleep(0.001)
    assert received.count("낱말".encode()) == 60
