"""POST /v1/chat/completions through the official SDK, over real sockets."""

from typing import Any

import openai
import pytest

from tests.server.house import OFF_TOPIC, QUESTION, House
from tests.stub_engine import Die, Error, Finish, Raw, Reasoning, Status

ASK: dict[str, Any] = {"model": "ragpod", "messages": [{"role": "user", "content": QUESTION}]}
ANSWER = ("배송은 ", "이틀", " 걸립니다 [", "1", "]. 제주는 나흘 [1]입니다.", Finish())
TEXT = "배송은 이틀 걸립니다 [1]. 제주는 나흘 [1]입니다."


async def test_the_sdk_sees_a_whole_answer_with_its_citations(home: House) -> None:
    home.stub.script(*ANSWER)
    answer = await home.openai.chat.completions.create(**ASK)
    message = answer.choices[0].message
    assert (message.content, message.role, answer.choices[0].finish_reason) == (TEXT, "assistant", "stop")
    assert answer.object == "chat.completion"
    extra = message.model_extra or {}
    citations = extra["context"]["citations"]
    assert "배송은 결제 후" in citations[0]["content"]
    assert citations[0]["filepath"] == "delivery.md"
    spans = [(a["start_index"], a["end_index"]) for a in message.to_dict()["annotations"]]  # type: ignore[attr-defined]
    assert [TEXT[start:end] for start, end in spans] == ["[1]", "[1]"]
    meta = (answer.model_extra or {})["ragpod"]
    assert meta["trace_id"].startswith("trace_")
    assert (meta["no_evidence"], meta["degraded"]) == (False, [])
    assert {"search", "first_token", "total"} <= meta["timings_ms"].keys()
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == home.stub.usage["prompt_tokens"]


async def test_the_sdk_streams_the_same_text_and_it_is_the_stored_text(home: House) -> None:
    home.stub.script(*ANSWER)
    home.stub.write_size = 1
    whole = await home.openai.chat.completions.create(**ASK, temperature=0)
    chunks = [c async for c in await home.openai.chat.completions.create(**ASK, temperature=0, stream=True)]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    _, trace = await home.get(f"/api/v1/traces/{(chunks[-1].model_extra or {})['ragpod']['trace_id']}")
    assert text == whole.choices[0].message.content == trace["answer"] == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].id != whole.id
    assert all(chunk.usage is None for chunk in chunks)
    first, last = chunks[0].choices[0].delta, chunks[-1].choices[0].delta
    assert (first.role, first.content) == ("assistant", "")
    assert (first.model_extra or {})["context"]["citations"][0]["filepath"] == "delivery.md"
    assert len((last.model_extra or {})["annotations"]) == 2
    assert trace["citations"][0]["start"] == TEXT.index("[1]")


async def test_usage_comes_on_a_chunk_of_its_own_where_asked_for(home: House) -> None:
    options = {"include_usage": True}
    chunks = [c async for c in await home.openai.chat.completions.create(**ASK, stream=True, stream_options=options)]
    assert [bool(chunk.choices) for chunk in chunks].count(False) == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == home.stub.usage["total_tokens"]


async def test_a_missing_stream_means_json_and_done_comes_once(home: House) -> None:
    async with home.http.post(f"{home.url}/v1/chat/completions", json=ASK) as response:
        assert response.content_type == "application/json"
    async with home.http.post(f"{home.url}/v1/chat/completions", json=ASK | {"stream": True}) as response:
        assert response.content_type == "text/event-stream"
        assert (await response.text()).count("data: [DONE]") == 1


async def test_system_messages_reach_the_engine_and_the_last_user_message_is_the_question(home: House) -> None:
    messages = [
        {"role": "developer", "content": "항상 존댓말을 쓰세요."},
        {"role": "user", "content": "비밀번호는 어디서 바꾸나요?"},
        {"role": "assistant", "content": "설정에서요."},
        {"role": "user", "content": QUESTION},
    ]
    answer = await home.openai.chat.completions.create(model="ragpod", messages=messages)  # type: ignore[arg-type]
    sent = home.stub.requests[-1]["messages"]
    assert "항상 존댓말을 쓰세요." in "".join(m["content"] for m in sent if m["role"] == "system")
    assert QUESTION in sent[-1]["content"]
    _, trace = await home.get(f"/api/v1/traces/{(answer.model_extra or {})['ragpod']['trace_id']}")
    assert (trace["question"], trace["search_question"]) == (QUESTION, QUESTION)


async def test_sampling_reaches_the_engine(home: House) -> None:
    await home.openai.chat.completions.create(
        **ASK, temperature=0.3, top_p=0.7, stop=["END"], seed=5, max_completion_tokens=33, presence_penalty=0.5
    )
    sent = home.stub.requests[-1]
    assert (sent["temperature"], sent["top_p"], sent["stop"], sent["seed"]) == (0.3, 0.7, ["END"], 5)
    assert (sent["max_tokens"], sent["presence_penalty"]) == (33, 0.5)


async def test_finish_reason_length_is_told(home: House) -> None:
    home.stub.script("배송", Finish("length"))
    assert (await home.openai.chat.completions.create(**ASK)).choices[0].finish_reason == "length"


async def test_reasoning_is_never_content(home: House) -> None:
    home.stub.script(Reasoning("속으로"), "겉으로 [1]", Finish())
    message = (await home.openai.chat.completions.create(**ASK)).choices[0].message
    assert message.content == "겉으로 [1]"
    assert (message.model_extra or {})["reasoning_content"] == "속으로"


async def test_no_evidence_is_refused_in_the_questions_language_without_an_engine_call(home: House) -> None:
    body = {"min_score": 1.0}
    for question, hangul in ((OFF_TOPIC, False), ("우주의 나이는?", True)):
        answer = await home.openai.chat.completions.create(
            model="ragpod", messages=[{"role": "user", "content": question}], extra_body={"ragpod": body}
        )
        text = answer.choices[0].message.content or ""
        assert text
        assert any("가" <= c <= "힣" for c in text) == hangul
        assert answer.choices[0].finish_reason == "stop"
        meta = (answer.model_extra or {})["ragpod"]
        assert meta["no_evidence"] is True
        _, trace = await home.get(f"/api/v1/traces/{meta['trace_id']}")
        assert (trace["answer"], trace["no_evidence"], trace["status"]) == (text, True, "complete")
    assert home.stub.requests == []


@pytest.mark.parametrize("message", ["고마워", "Thanks a lot!", "안녕하세요"])
async def test_small_talk_is_answered_without_a_search_or_an_engine(home: House, message: str) -> None:
    messages = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "이틀 걸립니다 [1]."}]
    answer = await home.openai.chat.completions.create(
        model="ragpod",
        messages=[*messages, {"role": "user", "content": message}],  # type: ignore[list-item]
    )
    text, meta = answer.choices[0].message.content or "", (answer.model_extra or {})["ragpod"]
    assert text
    assert "[" not in text
    assert any("가" <= c <= "힣" for c in text) == any("가" <= c <= "힣" for c in message)
    assert (meta["no_evidence"], answer.choices[0].finish_reason) == (False, "stop")
    _, trace = await home.get(f"/api/v1/traces/{meta['trace_id']}")
    assert (trace["answer"], trace["status"], trace["sources"]) == (text, "complete", [])
    assert "search" not in trace["timings_ms"]
    assert home.stub.requests == []


async def test_a_threshold_of_zero_keeps_everything(home: House) -> None:
    messages = [{"role": "user", "content": OFF_TOPIC}]
    answer = await home.openai.chat.completions.create(
        model="ragpod:python",
        messages=messages,  # type: ignore[arg-type]
        extra_body={"ragpod": {"min_score": 0}},
    )
    assert (answer.model_extra or {})["ragpod"]["no_evidence"] is False
    assert len(home.stub.requests) == 1


async def test_an_engine_that_dies_mid_stream_is_one_error_and_the_part_is_stored(home: House) -> None:
    home.stub.script("배송은 이틀", " 걸립", Die())
    events = await home.stream("/v1/chat/completions", ASK | {"stream": True})
    assert [("error" in event) for event in events].count(True) == 1
    assert events[-1]["error"]["code"] == "engine_unavailable"
    trace_id = events[0]["ragpod"]["trace_id"]
    _, trace = await home.get(f"/api/v1/traces/{trace_id}")
    assert (trace["status"], trace["answer"]) == ("failed", "배송은 이틀 걸립")
    with pytest.raises(openai.APIError, match="engine"):
        async for _ in await home.openai.chat.completions.create(**ASK, stream=True):
            pass
    with pytest.raises(openai.InternalServerError) as caught:
        await home.openai.chat.completions.create(**ASK)
    assert caught.value.status_code == 503


async def test_an_engine_that_is_down_is_replaced_by_quoting_and_that_is_said(home: House) -> None:
    home.stub.script(Die())
    answer = await home.openai.chat.completions.create(**ASK)
    assert "[1]" in (answer.choices[0].message.content or "")
    assert (answer.model_extra or {})["ragpod"]["degraded"] == ["engine: unavailable; the answer quotes the evidence"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("step", [Status(503), Error(503)])
async def test_an_engine_that_is_full_answers_503_with_retry_after(home: House, step: Any, stream: bool) -> None:
    home.stub.script(step)
    with pytest.raises(openai.InternalServerError) as caught:
        await home.openai.chat.completions.create(**ASK, stream=stream)
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"]


async def test_a_prompt_too_long_for_the_engine_answers_400(home: House) -> None:
    home.stub.script(Status(400, "This model's maximum context length is 4096 tokens."))
    with pytest.raises(openai.BadRequestError) as caught:
        await home.openai.chat.completions.create(**ASK, stream=True)
    assert caught.value.code == "context_length_exceeded"


async def test_hangul_split_over_tcp_writes_arrives_whole(home: House) -> None:
    home.stub.script("가나다 [1] 라마바", Finish())
    home.stub.write_size = 2
    assert (await home.openai.chat.completions.create(**ASK)).choices[0].message.content == "가나다 [1] 라마바"


@pytest.mark.parametrize("model", ["gpt-4o", "ragpod:nowhere", "ragpod:", "", "ragpod2"])
async def test_an_unknown_model_is_404(home: House, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await home.openai.chat.completions.create(**ASK | {"model": model})
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_an_unknown_store_is_404(home: House) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await home.openai.chat.completions.create(**ASK, extra_body={"ragpod": {"vector_store_ids": ["vs_nowhere"]}})
    assert caught.value.param == "ragpod.vector_store_ids"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"temperature": 9}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"n": 9}, "n"),
        ({"stop": [5]}, "stop[0]"),
        ({"stop": 5}, "stop"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"response_format": {"type": "json"}}, "response_format.type"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        ({"ragpod": {"topk": 3}}, "ragpod.topk"),
        ({"api_base": "http://127.0.0.1:1"}, "api_base"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ],
)
async def test_a_bad_request_names_its_parameter_in_openais_envelope(
    home: House, change: dict[str, Any], param: str
) -> None:
    status, body = await home.post("/v1/chat/completions", ASK | change)
    assert status == 400
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["param"] == param


async def test_each_model_answers_from_its_own_store(home: House) -> None:
    question = [{"role": "user", "content": "What does a lambda expression create?"}]
    answer = await home.openai.chat.completions.create(model="ragpod:python", messages=question)  # type: ignore[arg-type]
    files = {c["filepath"] for c in (answer.choices[0].message.model_extra or {})["context"]["citations"]}
    assert files <= {"lambda.md", "with.md"}
    assert files


async def test_explain_adds_the_candidates(home: House) -> None:
    answer = await home.openai.chat.completions.create(**ASK, extra_body={"ragpod": {"explain": True}})
    candidates = (answer.model_extra or {})["ragpod"]["candidates"]
    assert {"chunk_id", "score", "scores", "dropped"} <= candidates[0].keys()


async def test_raw_bytes_without_a_space_after_data_are_read(home: House) -> None:
    home.stub.script(Raw('data:{"choices":[{"delta":{"content":"네 [1]"}}]}\r\n\r\n'.encode()), Finish())
    assert (await home.openai.chat.completions.create(**ASK)).choices[0].message.content == "네 [1]"
