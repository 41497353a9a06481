"""rewrite_query: by rules, and by a capable engine."""

from typing import Any

import pytest

from server.answering.rewriting import LONGEST, RULED, by_rules
from tests.server.house import ENGLISH, House
from tests.stub_engine import Finish, Hold, Status


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Could you please tell me about the refund policy?", "refund policy"),
        ("Hi, I would like to know how to reset a password. Thanks!", "how to reset a password"),
        ("What is the refund policy?", "refund policy"),
        ("how do I close a file", "how do I close a file"),
        ("환불 규정에 대해 알려 주세요.", "환불 규정"),
        ("혹시 배송 기간이 궁금합니다", "배송 기간"),
        ("안녕하세요, 2단계 인증 끄는 방법을 좀 가르쳐 주실 수 있나요?", "2단계 인증 끄는 방법"),
        ("스마트스토어란 무엇인가요?", "스마트스토어"),
        ("반품은 며칠 안에 하나요?", "반품은 며칠 안에 하나요"),
        ("please", "please"),
        ("알려 주세요", "알려 주세요"),
        ("...", "..."),
        ("lambda", "lambda"),
    ],
)
def test_rules_take_away_what_is_only_said_to_a_person(query: str, expected: str) -> None:
    assert by_rules(query) == expected


@pytest.mark.parametrize("query", ["please " * 500, "the " * 500, "좀 " * 500 + "알려 주세요", "a" * 2000])
def test_rules_end_on_any_query(query: str) -> None:
    assert by_rules(query)


async def ask(home: House, **body: object) -> dict[str, Any]:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    status, found = await home.post(f"/v1/vector_stores/{store.id}/search", {"rewrite_query": True, **body})
    assert status == 200, found
    return found


async def test_a_small_engine_is_not_asked_and_both_queries_are_searched(home: House) -> None:
    home.parts.generators.style = "compact"
    found = await ask(home, query="Could you please tell me about lambda expressions?")
    assert found["search_query"] == ["lambda expressions"]
    assert found["ragpod"]["queries"] == ["Could you please tell me about lambda expressions?", "lambda expressions"]
    assert found["data"][0]["filename"] == "lambda.md"
    assert len(found["data"]) == len(ENGLISH)
    assert home.stub.requests == []


async def test_a_capable_engine_rewrites_as_auxiliary_work(home: House) -> None:
    home.parts.generators.style = "full"
    home.stub.script('"with statement file close"', "\nmore", Finish())
    found = await ask(home, query="And how does that thing end?")
    assert found["search_query"] == ["with statement file close"]
    assert found["data"][0]["filename"] == "with.md"
    (request,) = home.stub.requests
    assert request["max_tokens"] == 64
    assert request["messages"][-1] == {"role": "user", "content": "And how does that thing end?"}


@pytest.mark.parametrize(
    "steps", [(Hold(),), (Status(500),), (Finish(),), ("word " * LONGEST, Finish())], ids=["late", "down", "no", "long"]
)
async def test_where_the_engine_writes_no_query_the_one_given_is_searched_and_that_is_said(
    home: House, steps: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.answering.rewriting.SECONDS", 0.2)
    home.parts.generators.style = "full"
    home.stub.script(*steps)  # type: ignore[arg-type]
    found = await ask(home, query="What closes a file?")
    assert found["search_query"] == ["What closes a file?"]
    assert found["data"][0]["filename"] == "with.md"
    (reason,) = found["ragpod"]["degraded"]
    assert reason.startswith("rewrite_query: skipped")
    await home.stub.idle()


@pytest.mark.parametrize("wrapping", ["the ", "please ", "알려 주세요 "])
def test_a_query_of_nothing_but_wrappings_holds_nobody_up(wrapping: str) -> None:
    endless = wrapping * 100_000 + "x"
    assert by_rules(endless) == endless
    assert by_rules((wrapping * 200)[: RULED - 1] + "x").endswith("x")


async def test_without_rewrite_query_nothing_is_rewritten(home: House) -> None:
    found = await ask(home, query="Please tell me about lambdas", rewrite_query=False)
    assert found["search_query"] == found["ragpod"]["queries"] == ["Please tell me about lambdas"]
    assert home.stub.requests == []
