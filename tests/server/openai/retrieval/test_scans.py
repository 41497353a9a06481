"""A scan over a real socket: found by its words, cited with its place, told while it is recognised."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.retrieval.parsing.pdf.scans import PLACES, many, scan, text_page
from tests.server.house import House, house
from tests.tesseract import TESSERACT
from tests.until import PATIENCE, until

OCR = {"workers": 0, "ocr_languages": "eng", "ocr_workers": 1, "ocr_seconds": PATIENCE}


async def attach(home: House, content: bytes) -> tuple[str, str]:
    store = await home.openai.vector_stores.create(name="scans")
    file = await home.openai.files.create(file=("scan.pdf", content), purpose="assistants")
    await home.openai.vector_stores.files.create(store.id, file_id=file.id)
    return store.id, file.id


async def attached(home: House, store: str, file: str) -> dict[str, Any]:
    return (await home.get(f"/v1/vector_stores/{store}/files/{file}"))[1]


async def ended(home: House, store: str, file: str) -> dict[str, Any]:
    async def is_over() -> bool:
        return (await attached(home, store, file))["status"] != "in_progress"

    await until(is_over, PATIENCE)
    return await attached(home, store, file)


@TESSERACT
@pytest.mark.parametrize("workers", [0, 1])
async def test_a_scan_is_found_with_its_page_and_boxes(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, workers: int
) -> None:
    async with house(data_dir, embedder, tokenizer, parsing=OCR | {"workers": workers}) as home:
        store, file = await attach(home, scan(text_page(["Something else"]), text_page()))
        done = await ended(home, store, file)
        assert done["status"] == "completed"
        assert done["ragpod"]["ocr"] is None
        assert done["ragpod"]["warnings"]["messages"] == ["recognised by OCR, with its mistakes: pages 1-2"]
        _, found = await home.post(f"/v1/vector_stores/{store}/search", {"query": "When are parcels refunded?"})
        place = found["data"][0]["ragpod"] if "ragpod" in found["data"][0] else found["data"][0]
        on = {each["page"]: each["boxes"] for each in place.get("pages", [place])}
        assert any(abs(box[0] - PLACES[0][0]) < 4 and 75 < box[1] < box[3] < 110 for box in on[2])


@TESSERACT
async def test_while_it_is_recognised_its_pages_are_told_and_a_cancel_ends_it(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, parsing=OCR) as home:
        store, file = await attach(home, scan(*many(50)))
        told: list[Any] = []

        async def is_told() -> bool:
            told.append((await attached(home, store, file))["ragpod"]["ocr"])
            return bool(told[-1] and told[-1]["pages_done"])

        await until(is_told, PATIENCE)
        assert told[-1]["pages"] == 50
        async with home.http.get(f"{home.url}/api/v1/vector_stores/{store}/progress") as response:
            first = await response.content.readuntil(b"\n\n")
            assert b'"ocr":{"pages_done":' in first
            await home.openai.files.delete(file)
            async with asyncio.timeout(PATIENCE):
                assert b"event: done" in await response.content.read()
        await until(lambda: home.parts.library.ingestor.scans.pages_in(store) is None, PATIENCE)


@pytest.mark.parametrize("ocr", ["off", "auto"])
async def test_without_ocr_a_scan_fails_and_says_so(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, ocr: str
) -> None:
    if ocr == "auto":
        monkeypatch.setenv("PATH", "")
    async with house(data_dir, embedder, tokenizer, parsing=OCR | {"ocr": ocr}) as home:
        done = await ended(home, *await attach(home, scan(text_page())))
        assert (done["status"], done["ragpod"]["error_code"]) == ("failed", "needs_ocr")
        assert "no OCR" in done["last_error"]["message"]
