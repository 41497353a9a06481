"""Tools, formats and log probabilities beside retrieval, through the official SDK."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from models.base import Embedder
from models.wire.engine_traits import EngineTraits
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import OFF_TOPIC, QUESTION, House, house
from tests.stub_engine import Call, Die, Error, Finish, Hold, Say, Status

pytestmark = pytest.mark.slow
ASK: dict[str, Any] = {"model": "ragpod", "messages": [{"role": "user", "content": QUESTION}]}
# Its prompt has a third of the other's tokens, as the bundled engine counts them.
ASK_SHORT: dict[str, Any] = {
    "model": "ragpod:python",
    "messages": [{"role": "user", "content": "What does a lambda expression create?"}],
}
TOOL: Any = {
    "type": "function",
    "function": {"name": "track", "parameters": {"type": "object", "properties": {"parcel": {"type": "string"}}}},
}
CALLS = (
    Call("", "call_a", "track"),
    Call('{"parcel"'),
    Call(': "한1"}'),
    Call('{"parcel": "2"}', "call_b", "track", index=1),
    Finish("tool_calls"),
)
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "days", "schema": {"type": "object", "properties": {"days": {"type": "integer"}}}},
}
NEEDY: list[dict[str, Any]] = [
    {"tools": [TOOL]},
    {"response_format": SCHEMA},
    {"logprobs": True},
    {"logit_bias": {"42": 5}},
]


async def test_tools_reach_the_engine_with_the_evidence_and_calls_come_back(home: House) -> None:
    home.stub.script(*CALLS)
    answer = await home.openai.chat.completions.create(
        **ASK, tools=[TOOL], tool_choice="auto", parallel_tool_calls=True
    )
    sent = home.stub.requests[-1]
    assert (sent["tools"], sent["tool_choice"], sent["parallel_tool_calls"]) == ([TOOL], "auto", True)
    assert "배송은 결제 후" in sent["messages"][-1]["content"]
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]  # type: ignore[union-attr]
    assert calls == [("call_a", "track", '{"parcel": "한1"}'), ("call_b", "track", '{"parcel": "2"}')]
    _, trace = await home.get(f"/api/v1/traces/{(answer.model_extra or {})['ragpod']['trace_id']}")
    assert [call["arguments"] for call in trace["tool_calls"]] == [arguments for _, _, arguments in calls]


async def test_the_sdks_own_stream_helper_puts_the_calls_together(home: House) -> None:
    home.stub.script("네. ", *CALLS)
    async with home.openai.chat.completions.stream(**ASK, tools=[TOOL]) as stream:
        done = [event async for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = await stream.get_final_completion()
    assert [event.arguments for event in done] == ['{"parcel": "한1"}', '{"parcel": "2"}']
    message = final.choices[0].message
    assert message.content == "네. "
    assert [call.id for call in message.tool_calls or ()] == ["call_a", "call_b"]
    assert final.choices[0].finish_reason == "tool_calls"


async def test_the_first_piece_of_a_call_has_id_type_and_name_and_the_others_only_arguments(home: House) -> None:
    home.stub.script(*CALLS)
    events = await home.stream("/v1/chat/completions", ASK | {"stream": True, "tools": [TOOL]})
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls", ())]
    assert pieces[0] == {
        "index": 0,
        "id": "call_a",
        "type": "function",
        "function": {"name": "track", "arguments": ""},
    }
    assert pieces[1] == {"index": 0, "function": {"arguments": '{"parcel"'}}
    assert all("content" not in delta or delta["content"] == "" for delta in deltas)


async def test_a_whole_round_of_calls_goes_after_the_question(home: House) -> None:
    calls = [{"id": "call_a", "type": "function", "function": {"name": "track", "arguments": "{}"}}]
    messages = [
        *ASK["messages"],
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_a", "content": "집 앞 [1]"},
    ]
    home.stub.script("도착했습니다 [1].", Finish())
    answer = await home.openai.chat.completions.create(model="ragpod", messages=messages, tools=[TOOL])  # type: ignore[arg-type]
    question, said, result = home.stub.requests[-1]["messages"][-3:]
    assert QUESTION in question["content"]
    assert (said["role"], said["content"], said["tool_calls"]) == ("assistant", "", calls)
    assert result == {"role": "tool", "content": "집 앞 [1]", "tool_call_id": "call_a"}
    assert answer.choices[0].message.content == "도착했습니다 [1]."
    await home.openai.chat.completions.create(
        model="ragpod",
        messages=[*messages, answer.choices[0].message, {"role": "user", "content": "언제요?"}],  # type: ignore[list-item]
    )
    roles = [message["role"] for message in home.stub.requests[-1]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "user"]


async def test_with_tools_the_engine_is_asked_even_without_evidence_and_that_is_said(home: House) -> None:
    home.stub.script(*CALLS)
    answer = await home.openai.chat.completions.create(
        model="ragpod",
        messages=[{"role": "user", "content": OFF_TOPIC}],
        tools=[TOOL],
        extra_body={"ragpod": {"min_score": 1.0}},
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    assert (answer.model_extra or {})["ragpod"]["no_evidence"] is True


@pytest.mark.parametrize("fields", NEEDY)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_only_an_engine_can_do_is_503_without_one(home: House, fields: dict[str, Any], stream: bool) -> None:
    home.stub.script(Die())
    with pytest.raises(openai.InternalServerError) as caught:
        await home.openai.chat.completions.create(**ASK, **fields, stream=stream)
    assert caught.value.status_code == 503
    assert caught.value.response.headers["retry-after"]


@pytest.mark.parametrize("fields", NEEDY)
async def test_what_only_an_engine_can_do_is_not_left_to_quoting_in_any_language(
    home: House, fields: dict[str, Any]
) -> None:
    home.parts.generators.engine.generator.languages = frozenset({"en"})
    assert (await home.openai.chat.completions.create(**ASK)).choices
    assert home.stub.requests == []
    await home.openai.chat.completions.create(**ASK, **fields)
    assert len(home.stub.requests) == 1


async def test_a_format_reaches_the_engine_and_only_marks_in_strings_are_citations(home: House) -> None:
    text = '{"days": [1], "why": "이틀 걸립니다 [1]"}'
    home.stub.script(*(text[i : i + 3] for i in range(0, len(text), 3)), Finish())
    answer = await home.openai.chat.completions.create(**ASK, response_format=SCHEMA)
    assert home.stub.requests[-1]["response_format"] == SCHEMA
    message = answer.choices[0].message
    assert message.content == text
    spans = [(a["start_index"], a["end_index"]) for a in message.to_dict()["annotations"]]  # type: ignore[attr-defined]
    assert spans == [(text.rindex("[1]"), text.rindex("[1]") + 3)]


@pytest.mark.parametrize("stream", [False, True])
async def test_without_evidence_a_format_is_answered_by_a_refusal_that_is_not_content(
    home: House, stream: bool
) -> None:
    body = ASK | {"response_format": SCHEMA, "ragpod": {"min_score": 1.0}, "n": 2}
    if stream:
        events = await home.stream("/v1/chat/completions", body | {"stream": True})
        deltas = [choice["delta"] for event in events for choice in event["choices"] if choice["index"] == 1]
        content = "".join(delta.get("content") or "" for delta in deltas)
        refusal = "".join(delta.get("refusal") or "" for delta in deltas)
    else:
        _, answer = await home.post("/v1/chat/completions", body)
        content, refusal = (answer["choices"][1]["message"][name] for name in ("content", "refusal"))
    assert not content
    assert "찾지 못했습니다" in refusal


async def test_log_probabilities_come_with_every_token_of_the_text_and_no_other(home: House) -> None:
    home.stub.script(
        Say("이틀", tokens=("이", "틀")),
        Say(" [", tokens=(" [",)),
        Say("1", tokens=("1",)),
        Say("] 입니다", tokens=("]", " 입니다")),
        Say("", tokens=("<end>",)),
        Finish(),
    )
    whole = await home.openai.chat.completions.create(**ASK, logprobs=True, top_logprobs=2)
    chunks = [c async for c in await home.openai.chat.completions.create(**ASK, logprobs=True, stream=True)]
    sent = home.stub.requests
    assert [(request["logprobs"], request["top_logprobs"]) for request in sent] == [(True, 2), (True, 0)]
    choice = whole.choices[0]
    assert choice.logprobs is not None
    told = choice.logprobs.content or []
    assert "".join(token.token for token in told) == choice.message.content == "이틀 [1] 입니다"
    assert [len(token.top_logprobs) for token in told] == [2] * 6
    streamed = [t for chunk in chunks for c in chunk.choices if c.logprobs for t in c.logprobs.content or ()]
    assert [token.token for token in streamed] == [token.token for token in told]
    assert {len(token.top_logprobs) for token in streamed} == {0}


async def test_a_refusal_of_the_engine_keeps_its_status_and_its_parameter(home: House) -> None:
    home.stub.script(Status(400, "bad schema", param="response_format"))
    with pytest.raises(openai.BadRequestError, match="bad schema") as caught:
        await home.openai.chat.completions.create(**ASK, response_format=SCHEMA, stream=True)
    assert caught.value.param == "response_format"


async def test_content_filter_is_told(home: House) -> None:
    home.stub.script("네", Finish("content_filter"))
    assert (await home.openai.chat.completions.create(**ASK)).choices[0].finish_reason == "content_filter"


@pytest.mark.parametrize("own", [True, False])
async def test_several_choices_come_from_one_search_each_with_its_own_citations(home: House, own: bool) -> None:
    engine = home.parts.generators.engine.generator
    if own:
        engine.traits = EngineTraits("vllm")
        home.stub.script(
            Say("가 [1]", 0), Say("나", 1), Say(" 끝", 0), Say(" [1", 1), Say("]", 1), Finish("stop", ("length",))
        )
        texts = {0: "가 [1] 끝", 1: "나 [1]"}
    else:
        home.stub.script("가 [", "1] 끝", Finish("length"))
        texts = {0: "가 [1] 끝", 1: "가 [1] 끝"}
    whole = await home.openai.chat.completions.create(**ASK, n=2, seed=7)
    options = {"include_usage": True}
    chunks = [
        c async for c in await home.openai.chat.completions.create(**ASK, n=2, stream=True, stream_options=options)
    ]
    assert [choice.index for choice in whole.choices] == [0, 1]
    for choice in whole.choices:
        assert choice.message.content == texts[choice.index]
        (mark,) = choice.message.to_dict()["annotations"]  # type: ignore[attr-defined]
        assert texts[choice.index][mark["start_index"] : mark["end_index"]] == "[1]"
        parts = [c for chunk in chunks for c in chunk.choices if c.index == choice.index]
        assert "".join(part.delta.content or "" for part in parts) == texts[choice.index]
        assert [part.finish_reason for part in parts if part.finish_reason] == [choice.finish_reason]
        assert [bool(part.delta.role) for part in parts].count(True) == 1
    assert [choice.finish_reason for choice in whole.choices] == (["stop", "length"] if own else ["length"] * 2)
    usage, told = home.stub.usage, whole.usage
    assert told is not None
    assert (told.prompt_tokens, chunks[-1].usage) == (usage["prompt_tokens"], told)
    assert told.completion_tokens == usage["completion_tokens"] * (1 if own else 2)
    requests = [(request.get("n"), request.get("seed")) for request in home.stub.requests]
    assert requests == ([(2, 7), (2, None)] if own else [(None, 7), (None, 8), (None, None), (None, None)])
    _, trace = await home.get(f"/api/v1/traces/{(whole.model_extra or {})['ragpod']['trace_id']}")
    assert (trace["answer"], [other["answer"] for other in trace["others"]]) == (texts[0], [texts[1]])


async def test_a_choice_that_fails_before_any_word_fails_the_request(home: House) -> None:
    home.stub.script(Error(503))
    with pytest.raises(openai.InternalServerError):
        await home.openai.chat.completions.create(**ASK, n=3)
    await home.stub.idle()


async def test_a_client_that_leaves_stops_every_choice(home: House) -> None:
    home.stub.script("가", Hold())
    stream = await home.openai.chat.completions.create(**ASK, n=3, stream=True)
    await home.stub.started(3)
    await stream.close()
    await home.stub.idle()


async def test_quoting_and_refusals_give_every_choice_the_same_text(home: House) -> None:
    for extension, step in (({}, Die()), ({"min_score": 1.0}, Finish())):
        home.stub.script(step)
        answer = await home.openai.chat.completions.create(**ASK, n=3, extra_body={"ragpod": extension})
        texts = [choice.message.content for choice in answer.choices]
        assert len(texts) == 3
        assert texts[0]
        assert len(set(texts)) == 1
        assert [choice.finish_reason for choice in answer.choices] == ["stop"] * 3


async def test_metadata_and_user_are_kept_with_the_turn_and_store_false_keeps_nothing(home: House) -> None:
    labels: Any = {"metadata": {"case": "7"}, "user": "u1", "safety_identifier": "s1"}
    answer = await home.openai.chat.completions.create(**ASK, **labels, service_tier="auto")
    assert (answer.metadata, answer.service_tier) == ({"case": "7"}, "default")
    assert (answer.system_fingerprint or "").startswith("fp_")
    path = f"/api/v1/traces/{(answer.model_extra or {})['ragpod']['trace_id']}"
    status, trace = await home.get(path)
    assert (status, trace["labels"]) == (200, labels)
    answer = await home.openai.chat.completions.create(**ASK, store=False)
    status, _ = await home.get(f"/api/v1/traces/{(answer.model_extra or {})['ragpod']['trace_id']}")
    assert status == 404


@pytest.mark.engine
@pytest.mark.parametrize("ask", [ASK_SHORT, pytest.param(ASK, marks=pytest.mark.heavy)], ids=["english", "korean"])
async def test_the_bundled_engine_calls_a_tool_that_it_must_call_and_keeps_to_a_format(
    data_dir: Path, embedder: Embedder, tokenizer: Tokenizer, llama: Any, ask: dict[str, Any]
) -> None:
    async with house(data_dir, embedder, tokenizer, real=llama) as home:
        generator = home.parts.generators.engine.generator
        generator.traits = replace(generator.traits, forces_calls=True, thinking="never")
        named: Any = {"type": "function", "function": {"name": "track"}}
        answer = await home.openai.chat.completions.create(**ask, tools=[TOOL], tool_choice=named, max_tokens=60)
        (call,) = answer.choices[0].message.tool_calls or ()
        assert call.function.name == "track"  # type: ignore[union-attr]
        answer = await home.openai.chat.completions.create(**ask, response_format=SCHEMA, max_tokens=40, n=3)
        assert all((choice.message.content or "").startswith("{") for choice in answer.choices)
        answer = await home.openai.chat.completions.create(**ask, logprobs=True, max_tokens=8, temperature=0)
        told = answer.choices[0].logprobs
        assert told is not None
        assert "".join(token.token for token in told.content or ()) == answer.choices[0].message.content
