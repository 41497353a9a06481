"""Input items: what is read, what is refused and where, and the conversation they make."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from openai.types.responses import response_create_params
from openai.types.responses.response_item import ResponseItem
from pydantic import TypeAdapter

from models.base import Message, ToolCall
from server.http.errors import ApiError
from server.openai.chat.fields import Fate
from server.openai.responses.fields import FIELDS
from server.openai.responses.items import items_of, messages_of, refuse_repeated, refuse_too_many
from server.openai.responses.request import ResponseRequest

DOCS = Path(__file__).resolve().parents[4] / "docs" / "openai.md"
ITEM: TypeAdapter[Any] = TypeAdapter(ResponseItem)
KEY = "a" * 32
CALL = {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "42"}
USER = {"role": "user", "content": "여섯 곱하기 일곱?"}


def test_every_field_of_the_sdk_has_its_fate() -> None:
    known = response_create_params.ResponseCreateParamsBase.__annotations__.keys() | {"stream"}
    assert set(FIELDS) == known


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_the_documentation_says_the_same(name: str) -> None:
    field = FIELDS[name]
    assert f"| `{name}` | {field.fate.value} | {field.why}" in DOCS.read_text("utf-8")
    assert (name in ResponseRequest.model_fields) == (field.fate is not Fate.REFUSED)


def test_a_string_is_a_users_message() -> None:
    (item,) = items_of("안녕", KEY)
    assert ITEM.validate_python(item).content[0].text == "안녕"
    assert item["id"] == f"msg_{KEY}i000"


def test_calls_and_their_results_become_an_assistants_and_a_tools_message() -> None:
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "볼게요.", "annotations": []}]}
    second = {**CALL, "call_id": "call_2"}
    items = items_of([USER, said, CALL, second, RESULT, {**RESULT, "call_id": "call_2"}], KEY)
    messages = messages_of(items, "Be brief.")
    assert [message.role for message in messages] == ["system", "user", "assistant", "tool", "tool"]
    assert messages[2] == Message(
        "assistant",
        "볼게요.",
        (ToolCall(0, "call_1", "look_up", "{}"), ToolCall(1, "call_2", "look_up", "{}")),
    )
    assert messages[3] == Message("tool", "42", tool_call_id="call_1")


def test_what_an_answer_gave_can_be_sent_back_as_it_came() -> None:
    given_back: list[dict[str, Any]] = [
        USER,
        {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["x"], "results": None},
        {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "phase": None,
            "content": [{"type": "output_text", "text": "42 [1]", "annotations": [], "logprobs": []}],
        },
        USER,
    ]
    items = items_of(given_back, KEY)
    assert [item["id"] for item in items[1:4]] == ["fs_1", "rs_1", "msg_1"]
    assert [message.content for message in messages_of(items, None)] == [USER["content"], "42 [1]", USER["content"]]


@pytest.mark.parametrize("role", ["user", "assistant", "developer"])
@pytest.mark.parametrize("kind", ["input_text", "output_text"])
def test_the_role_says_what_kind_of_text_it_is(role: str, kind: str) -> None:
    (item,) = items_of([{"role": role, "content": [{"type": kind, "text": "네", "annotations": None}]}], KEY)
    assert ITEM.validate_python(item).content[0].text == "네"
    assert item["content"][0]["type"] == ("output_text" if role == "assistant" else "input_text")


def test_what_tells_the_engine_nothing_does_not_count_as_a_turn() -> None:
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    items = items_of([USER, thought, thought, USER], KEY)
    assert ITEM.validate_python(items[1]).id == f"rs_{KEY}i001"
    assert len(messages_of(items, None)) == 2
    refuse_too_many([], items, 2)
    for before, said, param in (([], items, "input"), (items, items[:1], "previous_response_id")):
        with pytest.raises(ApiError, match="more than 1") as refused:
            refuse_too_many(before, said, 1)
        assert refused.value.failure.param == param


def test_an_item_that_comes_twice_is_refused() -> None:
    refuse_repeated(items_of([USER, USER], KEY))
    with pytest.raises(ApiError, match="duplicate item 'msg_1'"):
        refuse_repeated(items_of([{**USER, "id": "msg_1"}, {**USER, "id": "msg_1"}], KEY))


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([], "input"),
        ([{"type": "image_generation_call", "id": "x"}], "input[0].type"),
        ([{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}], "input[0].content[0]"),
        (
            [{"role": "user", "content": [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {}}]}],
            "input[0].content[0].prompt_cache_breakpoint",
        ),
        ([{"role": "user", "content": "a\0b"}], "input[0].content[0]"),
        ([{"role": "robot", "content": "a"}], "input[0].role"),
        ([USER, {**CALL, "name": "no spaces"}], "input[1].name"),
        ([USER, {**CALL, "async": True}], "input[1].async"),
        ([{"type": "item_reference"}], "input[0].id"),
        ([USER, {"type": "reasoning", "id": "rs_1"}], "input[1].summary"),
        ([{"type": "file_search_call", "id": "fs_1", "status": "completed"}], "input[0].queries"),
        ([{"role": "user", "content": [{"type": "refusal", "refusal": "no"}]}], "input[0].content[0]"),
        ([{"role": "user", "content": 5}], "input[0].content"),
    ],
)
def test_a_bad_item_is_named(items: list[dict[str, Any]], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        items_of(items, KEY)
    assert caught.value.failure.param == param


@pytest.mark.parametrize(
    "items",
    [[USER, RESULT], [USER, CALL], [USER, CALL, USER], [USER, CALL, RESULT, RESULT], [USER, CALL, CALL, RESULT]],
)
def test_a_call_without_its_output_and_an_output_without_its_call_are_refused(items: list[dict[str, Any]]) -> None:
    with pytest.raises(ApiError, match="call"):
        messages_of(items_of(items, KEY), None)


KEYS = ["type", "role", "content", "id", "call_id", "text", "name", "output", "arguments"]
WORDS = st.sampled_from(["message", "user", "function_call", "function_call_output", "input_text", "a"])
anything = st.recursive(
    st.none() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), anything, max_size=6), max_size=3))
def test_anything_is_read_or_refused_with_400(items: list[dict[str, Any]]) -> None:
    try:
        read = items_of(items, KEY)
        messages_of([item for item in read if item["type"] != "item_reference"], None)
        for item in read:
            if item["type"] != "item_reference":
                ITEM.validate_python(item)
    except ApiError as error:
        refused = error
    else:
        return
    assert refused.failure.status == 400
