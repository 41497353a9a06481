"""A NUL in what would be stored is a 400 that says where."""

from typing import Any

import pytest

from tests.server.house import House

NUL = "a\0b"


@pytest.mark.house("module")
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": NUL}, "name"),
        ({"description": NUL}, "description"),
        ({"metadata": {"key": NUL}}, "metadata.key"),
        ({"metadata": {NUL: "value"}}, f"metadata.{NUL}"),
        ({"file_ids": [NUL]}, "file_ids[0]"),
    ],
)
async def test_a_store_takes_no_nul(home: House, body: dict[str, Any], param: str) -> None:
    status, answer = await home.post("/v1/vector_stores", body)
    assert (status, answer["error"]["param"]) == (400, param)
    assert "NUL" in answer["error"]["message"]
    if "file_ids" not in body and "description" not in body:
        store = await home.openai.vector_stores.create(name="changed")
        status, answer = await home.post(f"/v1/vector_stores/{store.id}", body)
        assert (status, answer["error"]["param"]) == (400, param)


@pytest.mark.house("module")
async def test_an_attachment_takes_no_nul(home: House) -> None:
    store = await home.openai.vector_stores.create(name="attached")
    attach = f"/v1/vector_stores/{store.id}/files"
    for path, body, param in (
        (attach, {"file_id": NUL}, "file_id"),
        (attach, {"file_id": "file-1", "attributes": {"key": NUL}}, "attributes.key"),
        (f"{attach}/file-1", {"attributes": {"key": NUL}}, "attributes.key"),
        (f"/v1/vector_stores/{store.id}/file_batches", {"file_ids": [NUL]}, "file_ids[0]"),
        (f"/v1/vector_stores/{store.id}/file_batches", {"file_ids": ["f"], "attributes": {"k": NUL}}, "attributes.k"),
    ):
        status, answer = await home.post(path, body)
        assert (status, answer["error"]["param"]) == (400, param), (path, body, answer)


@pytest.mark.house("module")
@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("metadata", {"key": NUL}, "metadata.key"),
        ("user", NUL, "user"),
        ("safety_identifier", NUL, "safety_identifier"),
        ("prompt_cache_key", NUL, "prompt_cache_key"),
    ],
)
async def test_an_answer_keeps_no_nul(home: House, field: str, value: Any, param: str) -> None:
    chat = {"model": "ragpod", "messages": [{"role": "user", "content": "x"}], field: value}
    response = {"model": "ragpod", "input": "x", field: value}
    for path, body in (("/v1/chat/completions", chat), ("/v1/responses", response)):
        status, answer = await home.post(path, body)
        assert (status, answer["error"]["param"]) == (400, param), (path, answer)


@pytest.mark.house("module")
async def test_a_filter_takes_no_nul(home: House) -> None:
    store = await home.openai.vector_stores.create(name="filtered")
    search = f"/v1/vector_stores/{store.id}/search"
    for filters, param in (
        ({"type": "eq", "key": "k", "value": NUL}, "filters.value"),
        ({"type": "in", "key": "k", "value": ["a", NUL]}, "filters.value"),
        ({"type": "and", "filters": [{"type": "eq", "key": NUL, "value": "v"}]}, "filters.filters[0].key"),
    ):
        status, answer = await home.post(search, {"query": "x", "filters": filters})
        assert (status, answer["error"]["param"]) == (400, param), answer
