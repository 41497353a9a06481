"""One page of a PDF over a real socket, drawn in a real child."""

import asyncio
import struct
from pathlib import Path

import aiohttp
import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.openai.retrieval.pages import WIDTH
from tests.retrieval.parsing.pdf.files import pdf, said
from tests.server.house import House, house

TWO = pdf(said(72, 700, "Hello there"), said(72, 700, "Second page"))


async def put(home: House, name: str = "a.pdf", content: bytes = TWO) -> str:
    return (await home.openai.files.create(file=(name, content), purpose="assistants")).id


async def get(
    home: House, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, "aiohttp.typedefs.LooseHeaders"]:
    async with home.http.request(method, f"{home.url}/v1/files/{path}", headers=headers) as response:
        return response.status, await response.read(), response.headers


def width(png: bytes) -> int:
    assert png.startswith(b"\x89PNG")
    return int(struct.unpack(">I", png[16:20])[0])


@pytest.mark.house("module")
@pytest.mark.asyncio(loop_scope="module")
class TestOnePage:
    async def test_a_picture_as_wide_as_is_asked(self, home: House) -> None:
        file = await put(home)
        status, png, headers = await get(home, f"{file}/pages/1")
        assert (status, headers["Content-Type"], width(png)) == (200, "image/png", WIDTH)
        assert headers["Cache-Control"].startswith("private")
        assert width((await get(home, f"{file}/pages/2?width=300"))[1]) == 300
