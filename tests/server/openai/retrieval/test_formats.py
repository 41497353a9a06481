"""Real office files over a real socket: indexed, found, and their places in every form of the API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import House, house
from tests.shared import HOSTILE, OK, needs_shared

pytestmark = [needs_shared, pytest.mark.asyncio(loop_scope="module")]

FILES = (
    "made_features.docx",
    "made_features.pptx",
    "made_features.xlsx",
    "made_table.odt",
    "made_two_chapters.epub",
    "hwplib_merging-cell.hwp",
    "hwpxlib_notice.hwpx",
    "markitdown_movie-theater-booking-2024.pdf",
    "made_euckr_attachment.eml",
    "made_docx_csv.zip",
    "made_cp949.rtf",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(
    tmp_path_factory: pytest.TempPathFactory, embedder: E5Embedder, tokenizer: Tokenizer
) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("formats"), embedder, tokenizer) as opened:
        (store,) = (await opened.openai.vector_stores.list()).data
        for name in FILES:
            content = (OK / name).read_bytes()
            attached = await opened.openai.vector_stores.files.upload_and_poll(
                vector_store_id=store.id, file=(name, content), poll_interval_ms=20
            )
            assert (name, attached.status) == (name, "completed")
        yield opened


async def found(home: House, query: str, filename: str) -> dict[str, Any]:
    store = (await home.openai.vector_stores.list()).data[0]
    _, answer = await home.post(f"/v1/vector_stores/{store.id}/search", {"query": query, "max_num_results": 20})
    results = [result for result in answer["data"] if result["filename"] == filename]
    assert results, [(result["filename"], result["content"][0]["text"][:40]) for result in answer["data"]]
    return dict(results[0])


@pytest.mark.parametrize(
    ("query", "filename", "place"),
    [
        ("GROUPED 그룹도형 매출", "made_features.pptx", {"slide": 1}),
        ("12,500원 가격", "made_features.docx", {"section": "제1장 총칙 > 1.1 목적"}),
        ("Holiday Movie Marathon Package", "markitdown_movie-theater-booking-2024.pdf", {"page": 1}),
        ("ODTCELL 항목", "made_table.odt", {"section": "오픈문서 제목"}),
    ],
)
async def test_a_passage_is_found_with_its_place(home: House, query: str, filename: str, place: dict[str, Any]) -> None:
    result = await found(home, query, filename)
    assert {name: result.get(name) for name in place} == place


async def test_boxes_and_cells_are_told(home: House) -> None:
    page = await found(home, "Holiday Movie Marathon Package", "markitdown_movie-theater-booking-2024.pdf")
    assert all(x0 < x1 and y0 < y1 for x0, y0, x1, y1 in page["boxes"])
    sheet = await found(home, "15.3% 12,500원", "made_euckr_attachment.eml")
    assert (sheet["sheet"], sheet["cell_range"], sheet["member"]) == ("매출현황", "A1:E5", "실적.xlsx")


async def test_an_answers_citations_say_where(home: House) -> None:
    body = {"model": "ragpod", "messages": [{"role": "user", "content": "Holiday Movie Marathon Package"}]}
    _, answer = await home.post("/v1/chat/completions", body)
    message = answer["choices"][0]["message"]
    pages = [citation.get("boxes") for citation in message["context"]["citations"] if citation.get("page") == 1]
    assert any(pages), message["context"]["citations"]
    _, response = await home.post("/v1/responses", {"model": "ragpod", "input": "Holiday Movie Marathon Package"})
    assert response["status"] == "completed"


@pytest.mark.parametrize(
    ("name", "code"), [("poi_protected_agile.docx", "encrypted_file"), ("made_lol.docx", "invalid_file")]
)
async def test_what_cannot_be_read_fails_with_its_code(home: House, name: str, code: str) -> None:
    store = (await home.openai.vector_stores.list()).data[0]
    content = (HOSTILE / name).read_bytes()
    attached = await home.openai.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=(name, content), poll_interval_ms=20
    )
    assert attached.status == "failed"
    assert attached.last_error
    assert attached.last_error.message
    assert attached.model_extra
    assert attached.model_extra["ragpod"]["error_code"] == code
