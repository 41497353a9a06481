import pytest

from tests.server.house import House

TEXTS = ["반품은 7일 안에 합니다.", "배송은 이틀 걸립니다.", "비밀번호는 설정에서 바꿉니다."]


async def test_the_best_text_comes_first_with_a_score_between_0_and_1(home: House) -> None:
    body = {"model": "ragpod", "query": "배송은 며칠 걸리나요?", "documents": TEXTS}
    status, answer = await home.post("/v1/rerank", body)
    results = answer["results"]
    assert status == 200
    assert results[0]["index"] == 1
    assert sorted(result["index"] for result in results) == [0, 1, 2]
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert "document" not in results[0]
    assert answer["usage"]["total_tokens"] > 10


async def test_top_n_and_documents_on_request(home: House) -> None:
    documents = [{"text": text} for text in TEXTS]
    body = {"model": "ragpod", "query": "반품", "documents": documents, "top_n": 1, "return_documents": True}
    _, answer = await home.post("/v1/rerank", body)
    assert [result["document"] for result in answer["results"]] == [{"text": TEXTS[0]}]


@pytest.mark.parametrize(
    "change", [{"documents": []}, {"query": " "}, {"documents": [1]}, {"top_n": 0}, {"url": "http://x"}]
)
async def test_a_bad_request_is_refused(home: House, change: dict[str, object]) -> None:
    status, body = await home.post("/v1/rerank", {"query": "x", "documents": TEXTS} | change)
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
