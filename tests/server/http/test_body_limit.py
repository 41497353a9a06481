import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import House, house
from tests.until import PATIENCE

MEBIBYTE = b"x" * (1 << 20)


class Upload:
    """A file that is sent up to its middle, and the rest when `go` is set. begun: half of it is on its way."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def content(self) -> AsyncIterator[bytes]:
        yield b"the first half"
        self.begun.set()
        await self.go.wait()
        yield b", and the second"

    async def send(self, home: House) -> tuple[int, dict[str, object], str | None]:
        form = aiohttp.FormData({"purpose": "assistants"})
        form.add_field("file", self.content(), filename="a.txt", content_type="text/plain")
        async with home.http.post(f"{home.url}/v1/files", data=form) as response:
            return response.status, await response.json(), response.headers.get("Retry-After")


async def test_more_uploads_than_are_received_at_once_wait_and_then_get_429(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    limits = {"uploads": 1, "queue_seconds": 0.2}
    async with house(data_dir, embedder, tokenizer, limits=limits) as home, asyncio.timeout(PATIENCE):
        first, second = Upload(), Upload()
        sent = asyncio.create_task(first.send(home))
        await first.begun.wait()
        second.go.set()
        status, body, retry = await second.send(home)
        assert (status, retry) == (429, "2")
        error = body["error"]
        assert isinstance(error, dict)
        assert (error["type"], error["code"]) == ("rate_limit_error", "queue_full")
        assert (await home.get("/v1/files"))[0] == 200  # what is no upload waits for none
        first.go.set()
        assert (await sent)[0] == 200
        assert (await second.send(home))[0] == 200
        listed = (await home.get("/v1/files"))[1]["data"]
        assert listed[0]["bytes"] == len(b"the first half, and the second")


async def test_an_upload_that_is_broken_off_leaves_its_place(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, limits={"uploads": 1}) as home, asyncio.timeout(PATIENCE):
        for _ in range(3):
            upload = Upload()
            sent = asyncio.create_task(upload.send(home))
            await upload.begun.wait()
            sent.cancel()
            await asyncio.gather(sent, return_exceptions=True)
        last = Upload()
        last.go.set()
        assert (await last.send(home))[0] == 200
        assert list((data_dir / "uploads").iterdir()) == []


async def test_a_large_file_comes_back_as_it_went(home: House) -> None:
    content = MEBIBYTE * 3 + b"end"
    file = await home.openai.files.create(file=("large.bin", content), purpose="assistants")
    async with home.http.get(f"{home.url}/v1/files/{file.id}/content") as response:
        assert response.headers["Content-Length"] == str(len(content))
        assert await response.read() == content
    await home.openai.files.delete(file.id)
