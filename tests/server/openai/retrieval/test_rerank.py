"""Reranking in the forms of Jina, Cohere (v1 and v2) and text-embeddings-inference, as their clients send it."""

from typing import Any

import pytest

from tests.server.house import House

pytestmark = pytest.mark.house("module")
QUERY = "배송은 며칠 걸리나요?"
TEXTS = ["반품은 7일 안에 합니다.", "배송은 이틀 걸립니다.", "비밀번호는 설정에서 바꿉니다."]
BOTH = ["late_interaction", "learned"]


async def test_the_best_text_comes_first_with_a_score_between_0_and_1(home: House) -> None:
    status, answer = await home.post("/v1/rerank", {"model": "ragpod", "query": QUERY, "documents": TEXTS})
    results = answer["results"]
    assert status == 200
    assert results[0]["index"] == 1
    assert sorted(result["index"] for result in results) == [0, 1, 2]
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert "document" not in results[0]
    spans = home.parts.library.embedder.token_spans
    assert answer["usage"]["total_tokens"] == sum(len(spans(text)) for text in (QUERY, *TEXTS))


async def test_jinas_form_has_top_n_and_documents_on_request(home: House) -> None:
    documents = [{"text": text} for text in TEXTS]
    body = {"model": "ragpod", "query": "반품", "documents": documents, "top_n": 1, "return_documents": True}
    _, answer = await home.post("/v1/rerank", body)
    assert [result["document"] for result in answer["results"]] == [{"text": TEXTS[0]}]
    _, answer = await home.post("/v1/rerank", body | {"documents": TEXTS})
    assert [result["document"] for result in answer["results"]] == [{"text": TEXTS[0]}]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
async def test_coheres_form_has_its_meta(home: House, path: str) -> None:
    body = {"model": "ragpod", "query": QUERY, "documents": TEXTS * 40, "top_n": 2, "max_tokens_per_doc": 4096}
    status, answer = await home.post(path, body)
    assert status == 200
    assert isinstance(answer["id"], str)
    assert answer["results"][0].keys() == {"index", "relevance_score"}
    assert answer["meta"]["billed_units"] == {"search_units": 2}
    assert isinstance(answer["meta"]["api_version"]["version"], str)


async def test_coheres_rank_fields_say_what_is_read_of_an_object(home: House) -> None:
    documents = [{"title": "배송", "body": TEXTS[1], "n": 1}, {"title": "반품", "body": TEXTS[0], "n": 2}]
    body = {"query": QUERY, "documents": documents, "rank_fields": ["title", "body"], "return_documents": True}
    _, answer = await home.post("/v1/rerank", body)
    assert answer["results"][0]["document"] == documents[0]
    status, answer = await home.post("/v1/rerank", body | {"rank_fields": ["title", "n"]})
    assert (status, answer["error"]["param"]) == (400, "documents[0]")


async def test_max_tokens_per_doc_cuts_what_is_read(home: House) -> None:
    """The one that answers does so behind the cut."""
    documents = ["설정 화면에서는 여러 가지를 바꿀 수 있고, " + TEXTS[1], TEXTS[0]]
    body = {"query": QUERY, "documents": documents}
    _, whole = await home.post("/v1/rerank", body)
    _, cut = await home.post("/v1/rerank", body | {"max_tokens_per_doc": 5})
    assert cut["usage"]["total_tokens"] == len(home.parts.library.embedder.token_spans(QUERY)) + 10
    assert whole["results"][0]["index"] == 0
    assert cut["results"] != whole["results"]


async def test_teis_form_is_a_plain_list(home: House) -> None:
    status, ranked = await _tei(home, {"query": QUERY, "texts": TEXTS})
    assert status == 200
    assert ranked[0].keys() == {"index", "score"}
    assert ranked[0]["index"] == 1
    _, raw = await _tei(home, {"query": QUERY, "texts": TEXTS, "raw_scores": True, "return_text": True})
    assert [rank["index"] for rank in raw] == [rank["index"] for rank in ranked]
    assert [rank["text"] for rank in raw] == [TEXTS[rank["index"]] for rank in raw]
    assert raw[-1]["score"] < 0
    assert [rank["score"] for rank in raw] == sorted((rank["score"] for rank in raw), reverse=True)


async def test_teis_form_cuts_from_either_side_only_when_asked(home: House) -> None:
    long = "설정 " * 3000
    texts = [long + TEXTS[1], TEXTS[1] + long]
    status, answer = await _tei(home, {"query": QUERY, "texts": texts})
    assert (status, answer["error"]["param"]) == (400, "texts[0]")
    for direction, best in (("left", 0), ("Right", 1)):
        body = {"query": QUERY, "texts": texts, "truncate": True, "truncation_direction": direction}
        assert (await _tei(home, body))[1][0]["index"] == best


async def _tei(home: House, body: dict[str, Any]) -> tuple[int, Any]:
    async with home.http.post(f"{home.url}/rerank", json=body) as response:
        if response.status == 200:
            assert response.headers["X-Ragpod-Stages"] == ",".join(BOTH)
        return response.status, await response.json()


async def test_the_answer_says_which_stages_ran(home: House) -> None:
    body: dict[str, Any] = {"model": "ragpod", "query": QUERY, "documents": TEXTS}
    scores = []
    for change, stages in (
        ({}, BOTH),
        ({"ragpod": {"stages": ["late_interaction"]}}, ["late_interaction"]),
        ({"ragpod": {"stages": BOTH}}, BOTH),
        ({"model": home.parts.library.embedder.name}, ["late_interaction"]),
    ):
        _, answer = await home.post("/v1/rerank", body | change)
        assert answer["ragpod"]["stages"] == stages
        scores.append([result["relevance_score"] for result in answer["results"]])
    assert scores[0] == scores[2] != scores[1] == scores[3]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": ["x"] * 1001}, "documents"),
        ({"documents": [{"body": "x"}]}, "documents[0]"),
        ({"query": " "}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"max_tokens_per_doc": 0}, "max_tokens_per_doc"),
        ({"truncation": False, "documents": ["x", "word " * 3000]}, "documents[1]"),
        ({"max_chunks_per_doc": 10}, "max_chunks_per_doc"),
        ({"ragpod": {"stages": ["cross_encoder"]}}, "ragpod.stages"),
        ({"ragpod": {"stages": ["learned"]}}, "ragpod.stages"),
        ({"url": "http://x"}, "url"),
    ],
)
async def test_a_bad_request_is_refused_by_name(home: House, change: dict[str, Any], param: str) -> None:
    status, body = await home.post("/v1/rerank", {"query": "x", "documents": TEXTS} | change)
    assert (status, body["error"]["param"]) == (400, param)


async def test_an_unknown_model_and_a_model_against_its_stages_are_refused(home: House) -> None:
    body = {"query": "x", "documents": TEXTS}
    assert (await home.post("/v1/rerank", body | {"model": "rerank-v3.5"}))[0] == 404
    against = body | {"model": home.parts.library.embedder.name, "ragpod": {"stages": BOTH}}
    assert (await home.post("/v2/rerank", against))[1]["error"]["param"] == "ragpod.stages"


async def test_an_object_goes_back_as_it_came_and_half_a_character_is_refused(home: House) -> None:
    document = {"text": "a", "n": 1e22, "tags": ["b", None, {"c": True}]}
    body = {"query": "x", "return_documents": True, "documents": [document]}
    assert (await home.post("/v1/rerank", body))[1]["results"][0]["document"] == document
    cut, headers = r'{"query": "x", "documents": ["a\ud800"]}', {"Content-Type": "application/json"}
    async with home.http.post(f"{home.url}/v1/rerank", data=cut, headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "invalid_json")
