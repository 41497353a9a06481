"""A call as an answer's format, and back."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import Message, Prompt, Sampling, ToolCall
from models.wire.engine_traits import EngineTraits
from models.wire.forced_call import ForcedCall
from models.wire.openai_wire import AnswerReader
from models.wire.whole_answer import as_watched_stream
from tests.models.wire.test_openai_wire import event

PROMPT = Prompt((Message("user", "Q"),))
PAINT: dict[str, Any] = {"type": "function", "function": {"name": "paint", "parameters": {"type": "object"}}}
WASH: dict[str, Any] = {"type": "function", "function": {"name": "wash"}}
NAMED = {"type": "function", "function": {"name": "wash"}}
LAZY, FORCING = EngineTraits("llama.cpp"), EngineTraits("llama.cpp", forces_calls=True)


def request(traits: EngineTraits, **extra: Any) -> dict[str, Any]:
    asked: dict[str, Any] = orjson.loads(traits.request("m", PROMPT, Sampling(extra=extra)))
    return asked


@pytest.mark.parametrize("extra", [{"tools": [PAINT]}, {"tools": [PAINT], "tool_choice": "auto"}])
def test_what_need_not_be_called_is_asked_as_it_came(extra: dict[str, Any]) -> None:
    assert {name: request(FORCING, **extra).get(name) for name in extra} == extra


@pytest.mark.parametrize("dialect", ["openai", "vllm"])
def test_engines_that_know_a_tool_by_its_name_get_it(dialect: Any) -> None:
    asked = request(EngineTraits(dialect), tools=[PAINT, WASH], tool_choice=NAMED)
    assert (asked["tools"], asked["tool_choice"]) == ([PAINT, WASH], NAMED)


def test_llama_cpp_gets_the_one_tool_and_that_it_is_required() -> None:
    asked = request(LAZY, tools=[PAINT, WASH], tool_choice=NAMED)
    assert (asked["tools"], asked["tool_choice"]) == ([WASH], "required")


def test_llama_cpp_gets_it_by_its_own_id_too() -> None:
    body = {"messages": [], "tools": [PAINT, WASH], "tool_choice": NAMED}
    asked = orjson.loads(as_watched_stream(body))
    assert (asked["tools"], asked["tool_choice"]) == ([WASH], "required")
    assert orjson.loads(as_watched_stream({"messages": [], "tool_choice": NAMED}))["tool_choice"] == NAMED


def test_a_small_engine_gets_the_call_as_its_format() -> None:
    asked = request(FORCING, tools=[PAINT, WASH], tool_choice="required", parallel_tool_calls=True)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & asked.keys()
    assert asked["chat_template_kwargs"] == {"functions": [PAINT, WASH]}
    ways = asked["response_format"]["json_schema"]["schema"]["anyOf"]
    assert [way["properties"]["name"] for way in ways] == [{"const": "paint"}, {"const": "wash"}]


@given(
    st.data(), st.sampled_from(['{"a": {"b": "}"}}', "{ }", '{"한": "글 \\" }"}\n']), st.sampled_from(["}", "\n } "])
)
def test_a_call_is_read_the_same_however_its_text_is_cut(data: st.DataObject, arguments: str, end: str) -> None:
    text = f'{{ "name" : "paint", "arguments": {arguments}{end}'
    forced, pieces, start = ForcedCall("call_1"), list[ToolCall](), 0
    while start < len(text):
        size = data.draw(st.integers(1, len(text)))
        pieces += forced.feed(text[start : start + size])
        start += size
    assert (pieces[0].id, pieces[0].name) == ("call_1", "paint")
    assert "".join(piece.arguments for piece in pieces) == arguments.strip()


def test_the_answer_of_a_forced_call_has_no_text() -> None:
    extra = {"tools": [PAINT], "tool_choice": "required"}
    reader: AnswerReader = FORCING.reader("m", Sampling(extra=extra))
    text = '{"name": "paint", "arguments": {"colour": "빨강"}}'
    data = b"".join(event({"content": character}) for character in text) + event({}, "stop")
    deltas = [*reader.feed(data), *reader.last()]
    calls = [call for delta in deltas for call in delta.tool_calls]
    assert "".join(delta.text for delta in deltas) == ""
    assert "".join(call.arguments for call in calls) == '{"colour": "빨강"}'
    assert deltas[-1].finish_reason == "tool_calls"
