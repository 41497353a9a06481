"""One choice's deltas: calls, log probabilities beside thoughts, several choices in one stream."""

from typing import Any

import pytest

from models.base import Message, Sampling, TokenDelta, ToolCall, Usage
from models.errors import Unavailable
from models.wire.openai_choice import ChoiceReader
from models.wire.openai_wire import AnswerReader, message_fields
from models.wire.thinking import ThinkSplitter
from tests.models.wire.test_openai_wire import event
from tests.stub_engine import logprob


def tokens(*texts: str) -> dict[str, Any]:
    return {"content": [logprob(text) for text in texts]}


def said(delta: TokenDelta | None) -> tuple[str, list[str]]:
    assert delta is not None
    return delta.text, [token["token"] for token in delta.logprobs]


def test_log_probabilities_of_thoughts_are_not_the_answers() -> None:
    reader = ChoiceReader(0, ThinkSplitter(), thinks=True)
    assert reader.read({"content": "<thi"}, tokens("<", "thi")) is None
    assert said(reader.read({"content": "nk>Hm"}, tokens("nk>", "Hm"))) == ("", [])
    assert said(reader.read({"content": "</think>Se"}, tokens("</think>", "Se"))) == ("Se", ["Se"])
    assert reader.read({"content": ""}, tokens("half")) is None
    assert said(reader.read({"content": "oul"}, tokens("oul"))) == ("oul", ["half", "oul"])


def test_text_held_back_keeps_its_log_probabilities() -> None:
    reader = ChoiceReader(0, ThinkSplitter(), thinks=True)
    assert reader.read({"content": "<"}, tokens("<")) is None
    assert said(reader.read({"content": "b>"}, tokens("b", ">"))) == ("<b>", ["<", "b", ">"])
    assert reader.read({"content": ""}, tokens("half a syllable")) is None
    assert said(reader.read({"content": "가"}, tokens("가"))) == ("가", ["half a syllable", "가"])
    reader.read({"content": ""}, tokens("<|im_end|>"))
    reader.finish = "stop"
    assert said(reader.last(None)) == ("", [])


def test_a_call_without_an_id_gets_one() -> None:
    reader = ChoiceReader(0, None, thinks=False)
    first = reader.read({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}, None)
    then = reader.read({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}, None)
    assert first is not None
    assert then is not None
    assert first.tool_calls[0].id.startswith("call_")
    assert then.tool_calls == (ToolCall(0, "", "", "{}"),)


def test_a_call_is_an_answer_so_thoughts_are_not_taken_for_one() -> None:
    reader = ChoiceReader(0, ThinkSplitter(), thinks=False)
    reader.read({"reasoning": "I shall call"}, None)
    reader.read({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}, None)
    reader.finish = "stop"
    assert reader.last(None).text == ""


def test_several_choices_end_one_by_one_and_usage_comes_with_the_last() -> None:
    reader = AnswerReader("m", choices=2)
    other = event({"content": "b"}).replace(b'"index":0', b'"index":1')
    deltas = list(reader.feed(other + event({"content": "a"}) + event({}, "stop")))
    assert [(delta.choice, delta.text) for delta in deltas] == [(1, "b"), (0, "a")]
    with pytest.raises(Unavailable, match="finish_reason"):
        reader.last()
    list(
        reader.feed(
            event({}, "length", usage={"prompt_tokens": 3, "completion_tokens": 2}).replace(b'"index":0', b'"index":1')
        )
    )
    ends = [(delta.choice, delta.finish_reason, delta.usage) for delta in reader.last()]
    assert ends == [(0, "stop", None), (1, "length", Usage(3, 2))]


@pytest.mark.parametrize("index", [2, -1, 10**9])
def test_a_choice_that_nobody_asked_for_is_not_one(index: int) -> None:
    with pytest.raises(Unavailable, match="choice"):
        list(AnswerReader("m", choices=2).feed(event({"content": "a"}).replace(b'"index":0', b'"index":%d' % index)))


def test_calls_and_results_go_to_the_engine_as_openai_has_them() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert message_fields(Message("assistant", "", (ToolCall(0, "c", "f", "{}"),))) == {
        "role": "assistant",
        "content": "",
        "tool_calls": [call],
    }
    assert message_fields(Message("tool", "x", tool_call_id="c")) == {
        "role": "tool",
        "content": "x",
        "tool_call_id": "c",
    }
    assert message_fields(Message("user", "x", name="kim")) == {"role": "user", "content": "x", "name": "kim"}


def test_sampling_knows_what_needs_an_engine() -> None:
    assert Sampling(extra={"tools": []}).needs_engine
    assert not Sampling(seed=1, extra={"presence_penalty": 1}).needs_engine
