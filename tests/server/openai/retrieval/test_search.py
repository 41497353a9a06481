"""Searching a vector store through the official SDK."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from openai.types import VectorStoreSearchResponse

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import ENGLISH, House, house
from tests.stub_engine import Finish

pytestmark = pytest.mark.house("module")
QUERY = "Where does the heron nest?"
HERONS, TAXES = 200, "Tax returns are due at the end of May."
# Each passes the one passage about taxes and none of the better ones: n is 0 there, 1 to 200 elsewhere.
ONLY_TAXES: list[dict[str, Any]] = [
    {"type": "eq", "key": "n", "value": 0},
    {"type": "eq", "key": "kind", "value": "세금"},
    {"type": "eq", "key": "due", "value": True},
    {"type": "ne", "key": "kind", "value": "bird"},
    {"type": "gt", "key": "rank", "value": 200.5},
    {"type": "gte", "key": "rank", "value": 201},
    {"type": "lt", "key": "n", "value": 1},
    {"type": "lte", "key": "n", "value": 0},
    {"type": "gt", "key": "kind", "value": "z"},
    {"type": "in", "key": "kind", "value": ["세금", "fish"]},
    {"type": "nin", "key": "kind", "value": ["bird", "fish"]},
    {
        "type": "and",
        "filters": [{"type": "lt", "key": "n", "value": 5}, {"type": "ne", "key": "kind", "value": "bird"}],
    },
    {
        "type": "or",
        "filters": [
            {"type": "eq", "key": "kind", "value": "fish"},
            {
                "type": "and",
                "filters": [{"type": "gte", "key": "n", "value": 0}, {"type": "eq", "key": "due", "value": True}],
            },
        ],
    },
]


async def test_a_filter_finds_what_stands_behind_the_200_best(
    tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    """So filters are evaluated inside retrieval: the candidates of any leg are half as many."""
    rows = [
        {"text": f"The heron nests in reed bed {n}.", "n": n, "kind": "bird", "rank": n, "due": False}
        for n in range(1, HERONS + 1)
    ]
    rows.append({"text": TAXES, "n": 0, "kind": "세금", "rank": 201, "due": True})
    async with house(tmp_path / "data", embedder, tokenizer) as home:
        store_id = await home.ingest("birds", {"birds.jsonl": "\n".join(orjson.dumps(row).decode() for row in rows)})
        assert home.parts.settings.retrieval.candidates < HERONS
        unfiltered = await home.openai.vector_stores.search(store_id, query=QUERY, max_num_results=50)
        assert TAXES not in [result.content[0].text for result in unfiltered.data]
        for filters in ONLY_TAXES:
            page: Any = await home.openai.vector_stores.search(store_id, query=QUERY, filters=filters)  # type: ignore[arg-type]
            assert [result.content[0].text for result in page.data] == [TAXES], filters
            assert await cited(home, filters) == [TAXES], filters


async def cited(home: House, filters: dict[str, Any]) -> list[str]:
    home.stub.script("In May [1].", Finish())
    answer = await home.openai.chat.completions.create(
        model="ragpod:birds", messages=[{"role": "user", "content": QUERY}], extra_body={"ragpod": {"filters": filters}}
    )
    context: Any = (answer.choices[0].message.model_extra or {})["context"]
    return [citation["content"] for citation in context["citations"]]


@pytest.mark.parametrize(("query", "place"), [("가" * 4097, "query"), (["heron", "x" * 4097], "query")])
async def test_a_query_that_is_too_long_is_refused_by_name(home: House, query: Any, place: str) -> None:
    store = await home.openai.vector_stores.create(name="short")
    status, answer = await home.post(f"/v1/vector_stores/{store.id}/search", {"query": query})
    assert status == 400
    assert answer["error"]["param"].startswith(place)
    assert "4096 characters" in answer["error"]["message"]
    status, _ = await home.post(f"/v1/vector_stores/{store.id}/search", {"query": "가" * 4096})
    assert status == 200


@pytest.mark.parametrize(
    ("filters", "place"),
    [
        ({"type": "like", "key": "a", "value": "b"}, "filters.type"),
        ({"type": "eq", "key": "a"}, "filters.value"),
        ({"type": "eq", "key": "", "value": 1}, "filters.key"),
        ({"type": "and", "filters": []}, "filters.filters"),
        ({"type": "or", "filters": [{"type": "eq", "key": "a", "value": None}]}, "filters.filters[0].value"),
        ({"type": "in", "key": "a", "value": "b"}, "filters.value"),
        ({"type": "gt", "key": "a", "value": True}, "filters.value"),
        ({"type": "eq", "key": "a", "value": 1, "case": False}, "filters"),
    ],
)
async def test_a_bad_filter_is_refused_by_its_place(home: House, filters: dict[str, Any], place: str) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    status, answer = await home.post(f"/v1/vector_stores/{store.id}/search", {"query": "x", "filters": filters})
    assert (status, answer["error"]["param"], answer["error"]["code"]) == (400, place, "invalid_filter")
    body = {"model": "ragpod", "messages": [{"role": "user", "content": "x"}], "ragpod": {"filters": filters}}
    status, answer = await home.post("/v1/chat/completions", body)
    assert status == 400
    assert place in answer["error"]["message"]


async def test_results_are_valid_under_the_sdks_own_type(home: House) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    _, page = await home.post(f"/v1/vector_stores/{store.id}/search", {"query": "lambda"})
    assert (page["has_more"], page["next_page"], page["search_query"]) == (False, None, ["lambda"])
    assert len(page["data"]) == len(ENGLISH)
    for result in page["data"]:
        VectorStoreSearchResponse.model_validate(result, strict=True)


async def test_the_threshold_is_on_the_calibrated_score_and_0_is_legal(home: House) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    every = (
        await home.openai.vector_stores.search(
            store.id, query="closing a file", ranking_options={"score_threshold": 0, "ranker": "default-2024-11-15"}
        )
    ).data
    assert len(every) == len(ENGLISH)
    assert all(0 <= result.score <= 1 for result in every)
    between = (every[0].score + every[1].score) / 2
    page = await home.openai.vector_stores.search(
        store.id, query="closing a file", ranking_options={"score_threshold": between}
    )
    assert [result.score for result in page.data] == [every[0].score]


async def test_of_several_queries_a_passage_keeps_its_best_score(home: House) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    search = home.openai.vector_stores.search
    queries = ["anonymous function", "closing a file"]
    alone = [{r.filename: r.score for r in (await search(store.id, query=query)).data} for query in queries]
    both = {r.filename: r.score for r in (await search(store.id, query=queries)).data}
    assert both == pytest.approx({name: max(scores[name] for scores in alone) for name in both})
    assert list(both.values()) == sorted(both.values(), reverse=True)


@pytest.mark.house("test")
async def test_search_ranks_filters_and_explains(home: House) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    path = f"/v1/vector_stores/{store.id}/search"
    status, found = await home.post(path, {"query": "closing a file", "ragpod": {"explain": True}})
    assert status == 200
    assert found["object"] == "vector_store.search_results.page"
    assert found["data"][0]["filename"] == "with.md"
    assert found["data"][0]["content"][0]["type"] == "text"
    assert {"timings_ms", "counts", "queries", "degraded", "skipped", "candidates"} == found["ragpod"].keys()
    scores = [result["score"] for result in found["data"]]
    assert scores == sorted(scores, reverse=True)
    for file in (await home.openai.vector_stores.files.list(store.id)).data:
        year = 2024 if file.id == found["data"][0]["file_id"] else 1999
        await home.openai.vector_stores.files.update(file.id, vector_store_id=store.id, attributes={"year": year})
    filters = {"type": "lt", "key": "year", "value": 2000}
    _, filtered = await home.post(path, {"query": "closing a file", "filters": filters})
    assert [result["filename"] for result in filtered["data"]] == ["lambda.md"]


async def test_search_takes_several_queries_a_limit_and_a_threshold(home: House) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    page = await home.openai.vector_stores.search(store.id, query=["lambda", "with statement"], max_num_results=1)
    assert len(page.data) == 1
    page = await home.openai.vector_stores.search(
        store.id, query="lambda", ranking_options={"score_threshold": 1.0, "ranker": "none"}
    )
    assert page.data == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": ""},
        {"query": []},
        {"query": "x", "max_num_results": 51},
        {"query": "x", "filters": {"type": "like", "key": "a", "value": "b"}},
        {"query": "x", "filters": {"type": "eq", "key": 'a" OR 1=1 --', "value": "b"}},
        {"query": "x", "vdb_endpoint": "http://127.0.0.1:1"},
        {"query": 3},
        {"query": "x", "max_num_results": "5"},
        {"query": "x", "ranking_options": {"ranker": "best"}},
        {"query": "x", "ranking_options": {"score_threshold": 1.5}},
        {"query": "x", "ranking_options": {"hybrid_search": {"embedding_weight": 1, "text_weight": 1}}},
    ],
)
async def test_a_bad_search_is_refused(home: House, body: dict[str, Any]) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    status, answer = await home.post(f"/v1/vector_stores/{store.id}/search", body)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("text", "attribute", "shown"),
    [
        ("# Quay\n\nThe quay is dry.", "https://example.com/quay", "https://example.com/quay"),
        (
            "---\nurl: https://example.com/own\n---\n# Quay\n\nIt is dry.",
            "https://example.com/quay",
            "https://example.com/own",
        ),
        ("# Quay\n\nThe quay is dry.", "javascript:alert(1)", None),
        ("# Quay\n\nThe quay is dry.", 7, None),
    ],
)
async def test_a_file_s_attribute_is_the_address_of_what_names_none(
    home: House, text: str, attribute: str | int, shown: str | None
) -> None:
    store = await home.openai.vector_stores.create(name="quays")
    file = await home.openai.files.create(file=("quay.md", text.encode()), purpose="assistants")
    await home.openai.vector_stores.files.create_and_poll(
        file.id, vector_store_id=store.id, attributes={"url": attribute}
    )
    found = (await home.openai.vector_stores.search(store.id, query="quay")).data[0]
    assert (found.model_extra or {})["url"] == shown
