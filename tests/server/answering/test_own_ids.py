"""The id that a row came with, on every way out."""

import pytest

from tests.server.house import House
from tests.stub_engine import Finish

pytestmark = pytest.mark.house("module")
ROWS = {
    "faq.csv": "id;question;answer\nQ-17;Where does the heron nest?;In the reed bed.\n",
    "corpus.jsonl": '{"_id": "왜가리/18", "text": "The heron eats fish and frogs."}\n',
    "external.jsonl": '{"external_id": 1900, "text": "Herons return in February."}\n',
    "page.md": "# Owls\n\nThe owl nests in the old barn.\n",
}
QUESTION = "Where does the heron nest?"


@pytest.fixture
async def store_id(home: House) -> str:
    return await home.ingest("birds", ROWS)


async def test_a_search_gives_each_row_its_own_id(home: House, store_id: str) -> None:
    for query, own in ((QUESTION, "Q-17"), ("What does it eat?", "왜가리/18"), ("Return in February", "1900")):
        body = {"query": query, "ragpod": {"explain": True}}
        _, found = await home.post(f"/v1/vector_stores/{store_id}/search", body)
        assert found["data"][0]["document_id"] == own
        assert own in [candidate["document_id"] for candidate in found["ragpod"]["candidates"]]


async def test_a_file_that_has_none_has_the_houses_own(home: House, store_id: str) -> None:
    _, found = await home.post(f"/v1/vector_stores/{store_id}/search", {"query": "owl in the barn"})
    assert found["data"][0]["document_id"].startswith("doc_")


async def test_sources_citations_and_annotations_name_the_row(home: House, store_id: str) -> None:
    home.stub.script("In the reed bed [1].", Finish())
    chat = {"model": "ragpod:birds", "messages": [{"role": "user", "content": QUESTION}]}
    _, told = await home.post("/v1/chat/completions", chat)
    message = told["choices"][0]["message"]
    assert [message["context"]["citations"][0]["document_id"], message["annotations"][0]["document_id"]] == ["Q-17"] * 2
    chunks = await home.stream("/v1/chat/completions", {**chat, "stream": True})
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert [d["annotations"][0]["document_id"] for d in deltas if d.get("annotations")] == ["Q-17"]
    searching = {"type": "file_search", "vector_store_ids": [store_id]}
    body = {"model": "ragpod", "input": QUESTION, "tools": [searching], "include": ["file_search_call.results"]}
    _, response = await home.post("/v1/responses", body)
    call, said = response["output"][0], response["output"][-1]
    assert call["results"][0]["document_id"] == said["content"][0]["annotations"][0]["document_id"] == "Q-17"


async def test_the_plain_api_names_the_row(home: House) -> None:
    await home.ingest("default", ROWS)
    home.stub.script("In the reed bed [1].", Finish())
    _, answer = await home.post("/api/v1/chat", {"question": QUESTION})
    assert answer["sources"][0]["document_id"] == answer["metadata"]["citations"][0]["document_id"] == "Q-17"
    _, trace = await home.get(f"/api/v1/traces/{answer['metadata']['trace_id']}")
    assert {trace[name][0]["document_id"] for name in ("sources", "citations", "candidates")} == {"Q-17"}
    events = await home.stream("/api/chat/stream", {"question": QUESTION})
    assert [event["document_id"] for event in events if event["type"] == "citation"] == ["Q-17"]
