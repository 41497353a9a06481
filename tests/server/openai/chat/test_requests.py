from typing import Any

import pytest
from pydantic import ValidationError

from server.answering.ask import Defaults
from server.http.errors import ApiError
from server.openai.chat.messages import messages_of
from server.openai.chat.requests import ChatRequest, check, sampling_of

ASK = {"model": "ragpod", "messages": [{"role": "user", "content": "hi"}]}


def body(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate(ASK | fields)


def refused(**fields: Any) -> tuple[int, str | None]:
    with pytest.raises(ApiError) as caught:
        check(body(**fields))
    return caught.value.failure.status, caught.value.failure.param


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("web_search_options", {}),
        ("prediction", {"type": "content", "content": "x"}),
        ("moderation", {"model": "m"}),
        ("service_tier", "priority"),
        ("verbosity", "low"),
        ("prompt_cache_retention", "24h"),
        ("prompt_cache_options", {"mode": "explicit"}),
    ],
)
def test_what_cannot_have_its_effect_is_refused_by_name(name: str, value: Any) -> None:
    assert refused(**{name: value}) == (400, name)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"top_logprobs": 2, "logprobs": False}, "top_logprobs"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
    ],
)
def test_a_field_without_the_one_it_belongs_to_is_refused(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields) == (400, param)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 9},
        {"n": 0},
        {"n": True},
        {"seed": 2**63},
        {"seed": 1.0},
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": ""},
        {"stop": [""]},
        {"logit_bias": {"5": 101}},
        {"logit_bias": {"five": 1}},
        {"logprobs": True, "top_logprobs": 21},
        {"reasoning_effort": "enormous"},
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "text", "json_schema": {"name": "x"}}},
        {"response_format": SCHEMA | {"extra": 1}},
        {"tools": [{"type": "custom", "custom": {"name": "x"}}]},
        {"tools": [TOOL] * 129},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}}},
        {"metadata": {"k" * 65: "v"}},
        {"metadata": {"k": "v" * 513}},
        {"metadata": {"k": 5}},
        {"metadata": {str(i): "v" for i in range(17)}},
        {"safety_identifier": "x" * 129},
        {"stream_options": {"include_everything": True}},
        {"max_tokens": 0},
        {"temperature": "hot"},
    ],
)
def test_a_value_out_of_its_bounds_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        body(**fields)
    assert caught.value.errors()[0]["loc"][0] in fields


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logprobs": False},
        {"response_format": {"type": "text"}},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": True, "functions": [], "function_call": "none"},
        {"user": "u", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "verbosity": "medium"},
        {"modalities": ["text"], "prompt_cache_key": "k", "prompt_cache_options": {"mode": "implicit", "ttl": "30m"}},
        {"tools": None, "audio": None, "anything": None},
    ],
)
def test_what_asks_for_nothing_is_accepted_and_leaves_the_request_as_it_was(fields: dict[str, Any]) -> None:
    check(body(**fields))
    assert sampling_of(body(**fields), Defaults()) == sampling_of(body(), Defaults())


def test_the_engines_own_fields_are_passed_as_they_came() -> None:
    choice = {"type": "function", "function": {"name": "f"}}
    fields = {"tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False, "response_format": SCHEMA}
    fields |= {"logprobs": True, "top_logprobs": 3, "logit_bias": {"42": -100}, "frequency_penalty": 0.5}
    sampling = sampling_of(body(**fields, n=3), Defaults())
    assert sampling.extra == fields
    assert (sampling.n, sampling.needs_engine, sampling.structured) == (3, True, True)
    assert not sampling_of(body(frequency_penalty=1, seed=1), Defaults()).needs_engine


@pytest.mark.parametrize("name", ["api_base", "llm_endpoint", "vdb_endpoint", "base_url", "top_kk"])
def test_unknown_parameters_are_refused_above_all_addresses(name: str) -> None:
    assert refused(**{name: "http://169.254.169.254/"}) == (400, name)


@pytest.mark.parametrize(
    "extension", [{"topk": 3}, {"top_k": 0}, {"min_score": 2.0}, {"rerank": "yes"}, {"session_id": "a b"}]
)
def test_the_extension_is_checked(extension: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="ragpod"):
        body(ragpod=extension)


def test_a_threshold_of_zero_is_a_threshold() -> None:
    extension = body(ragpod={"min_score": 0}).ragpod
    assert extension is not None
    assert extension.min_score == 0


def test_text_parts_are_joined_and_developer_is_system() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    asked = body(messages=[{"role": "developer", "content": "d"}, {"role": "user", "content": parts}])
    assert [(m.role, m.content) for m in messages_of(asked.messages, 10)] == [("system", "d"), ("user", "one\ntwo")]


def test_an_image_is_refused_and_its_place_named() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}
    asked = body(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, image]}])
    with pytest.raises(ApiError, match="image_url") as caught:
        messages_of(asked.messages, 10)
    assert caught.value.failure.param == "messages[0].content[1]"


def test_too_many_messages_are_refused() -> None:
    with pytest.raises(ApiError) as caught:
        messages_of(body(messages=[{"role": "user", "content": "x"}] * 11).messages, 10)
    assert caught.value.failure.param == "messages"


def test_sampling_is_passed_on_and_max_tokens_cut_to_the_limit() -> None:
    defaults = Defaults(max_tokens=100, answer_tokens=50)
    sampling = sampling_of(
        body(
            max_tokens=5000, temperature=0, top_p=0.5, stop="END", seed=7, presence_penalty=1, reasoning_effort="none"
        ),
        defaults,
    )
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (100, 0, 0.5)
    assert (sampling.stop, sampling.seed) == (("END",), 7)
    assert sampling.extra == {"presence_penalty": 1, "reasoning_effort": "none"}
    assert sampling_of(body(), defaults).max_tokens == 50
    assert sampling_of(body(max_completion_tokens=9), defaults).max_tokens == 9


def test_thinking_comes_on_top_of_the_usual_tokens_and_within_those_asked_for() -> None:
    defaults = Defaults(answer_tokens=500)
    assert sampling_of(body(reasoning_effort="low"), defaults).max_tokens == 1524
    assert sampling_of(body(reasoning_effort="none"), defaults).max_tokens == 500
    assert sampling_of(body(reasoning_effort="low", max_tokens=300), defaults).max_tokens == 300
