"""The plain HTTP API over a real socket."""

import asyncio
from typing import Any

import pytest

from tests.server.house import QUESTION, House
from tests.stub_engine import Die, Finish, Reasoning

ANSWER = (Reasoning("음"), "이틀 [", "1]", " 걸려요.", Finish())
TEXT = "이틀 [1] 걸려요."


async def test_an_answer_has_its_sources_and_metadata(home: House) -> None:
    home.stub.script(*ANSWER)
    body = {"question": QUESTION, "user_id": "u1", "session_id": "my-session"}
    status, answer = await home.post("/api/v1/chat", body)
    assert (status, answer["success"], answer["answer"]) == (200, True, TEXT)
    assert {"chunk_id", "content", "score", "scores", "title", "file_id"} <= answer["sources"][0].keys()
    meta = answer["metadata"]
    assert meta["session_id"] == "my-session"
    assert meta["trace_id"].startswith("trace_")
    assert meta["message_id"].startswith("msg_")
    assert (meta["no_evidence"], meta["degraded"], meta["suggested_questions"]) == (False, [], [])
    assert meta["usage"]["prompt_tokens"] == home.stub.usage["prompt_tokens"]


async def test_the_stream_has_typed_events_and_says_the_same(home: House) -> None:
    home.stub.script(*ANSWER)
    async with home.http.post(f"{home.url}/api/v1/chat/stream", json={"question": QUESTION}) as response:
        raw = (await response.read()).decode()
    names = [line.removeprefix("event: ") for line in raw.splitlines() if line.startswith("event: ")]
    assert names[:4] == ["started", "stage", "sources", "stage"]
    assert set(names[4:-2]) == {"reasoning", "delta", "citation"}
    assert names[-2:] == ["usage", "done"]
    events = await home.stream("/api/chat/stream", {"question": QUESTION})
    assert "".join(event["text"] for event in events if event["type"] == "delta") == TEXT
    assert events[-1]["metadata"]["citations"][0]["marker"] == 1


async def test_the_trace_tells_how_the_answer_came_about(home: House) -> None:
    home.stub.script(*ANSWER)
    history = [{"role": "user", "content": "배송은 며칠 걸리나요?"}, {"role": "assistant", "content": "이틀이요."}]
    _, answer = await home.post("/api/v1/chat", {"question": "그건 제주도도 그런가요?", "chat_history": history})
    status, trace = await home.get(f"/api/v1/traces/{answer['metadata']['trace_id']}")
    assert status == 200
    assert trace["question"] == "그건 제주도도 그런가요?"
    assert trace["search_question"] == "배송은 며칠 걸리나요?\n그건 제주도도 그런가요?"
    assert {"chunk_id", "scores", "dropped"} <= trace["candidates"][0].keys()
    assert (trace["answer"], trace["reasoning"], trace["status"]) == (TEXT, "음", "complete")
    assert (trace["finish_reason"], trace["generator"]) == ("stop", "stub")
    assert trace["citations"][0]["chunk_id"] == trace["sources"][0]["chunk_id"]
    assert "search" in trace["timings_ms"]


async def test_failures_say_success_false_with_their_status(home: House) -> None:
    home.stub.script("이틀", Die())
    status, body = await home.post("/api/v1/chat", {"question": QUESTION})
    assert (status, body["success"], body["error"]["code"]) == (503, False, "engine_unavailable")
    status, body = await home.get("/api/v1/traces/trace_unknown")
    assert (status, body["success"]) == (404, False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": ""},
        {"question": "   "},
        {"question": 5},
        {"question": "x", "chat_history": "no"},
        {"question": "x", "chat_history": [{"role": "robot", "content": "x"}]},
        {"question": "x", "session_id": "a b"},
        {"question": "x", "llm_endpoint": "http://127.0.0.1:1"},
    ],
)
async def test_a_bad_body_is_refused(home: House, body: dict[str, Any]) -> None:
    for path in ("/api/v1/chat", "/api/v1/chat/stream"):
        status, answer = await home.post(path, body)
        assert (status, answer["success"]) == (400, False)


async def test_the_simple_form_is_flat(home: House) -> None:
    status, answer = await home.post("/api/chat", {"question": QUESTION, "session_id": "s1", "theme": "dark"})
    assert (status, answer["session_id"]) == (200, "s1")
    assert answer["answer"] == "Hello world"
    assert answer["sources"]


async def test_many_at_once_keep_their_own_answers(home: House) -> None:
    home.stub.script(*ANSWER)
    answers = await asyncio.gather(*(home.post("/api/v1/chat", {"question": f"{QUESTION} {i}"}) for i in range(12)))
    assert {answer["answer"] for _, answer in answers} == {TEXT}
    assert len({answer["metadata"]["trace_id"] for _, answer in answers}) == 12
    for i, (_, answer) in enumerate(answers):
        _, trace = await home.get(f"/api/v1/traces/{answer['metadata']['trace_id']}")
        assert trace["question"] == f"{QUESTION} {i}"
