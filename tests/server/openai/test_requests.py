from typing import Any

import pytest
from pydantic import ValidationError

from server.errors import ApiError
from server.openai.requests import ChatRequest, messages_of, refuse_unknown, sampling_of
from server.settings import Settings

ASK = {"model": "ragpod", "messages": [{"role": "user", "content": "hi"}]}


def body(**fields: Any) -> ChatRequest:
    return ChatRequest.model_validate(ASK | fields)


def refused(**fields: Any) -> tuple[int, str | None]:
    with pytest.raises(ApiError) as caught:
        refuse_unknown(body(**fields))
    return caught.value.failure.status, caught.value.failure.param


@pytest.mark.parametrize("name", ["tools", "functions", "audio", "logit_bias", "web_search_options"])
def test_what_an_answer_from_documents_cannot_do_is_refused_by_name(name: str) -> None:
    assert refused(**{name: [{"type": "function"}]}) == (400, name)


@pytest.mark.parametrize(
    ("name", "value"), [("n", 2), ("logprobs", True), ("response_format", {"type": "json_object"})]
)
def test_a_value_that_asks_for_more_is_refused_by_name(name: str, value: Any) -> None:
    assert refused(**{name: value}) == (400, name)


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logprobs": False},
        {"response_format": {"type": "text"}},
        {"tools": []},
        {"tool_choice": "none"},
        {"user": "u", "metadata": {"a": "b"}, "store": True, "service_tier": "auto"},
        {"tools": None, "anything": None},
    ],
)
def test_what_asks_for_nothing_is_accepted(fields: dict[str, Any]) -> None:
    refuse_unknown(body(**fields))
    assert body(**fields).model == "ragpod"


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
    assert [(m.role, m.content) for m in messages_of(asked, 10)] == [("system", "d"), ("user", "one\ntwo")]


def test_an_image_is_refused_and_its_place_named() -> None:
    image = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}
    asked = body(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, image]}])
    with pytest.raises(ApiError, match="image_url") as caught:
        messages_of(asked, 10)
    assert caught.value.failure.param == "messages[0].content[1]"


def test_too_many_messages_are_refused() -> None:
    with pytest.raises(ApiError) as caught:
        messages_of(body(messages=[{"role": "user", "content": "x"}] * 11), 10)
    assert caught.value.failure.param == "messages"


def test_sampling_is_passed_on_and_max_tokens_cut_to_the_limit() -> None:
    settings = Settings.load(limits={"max_tokens": 100}, engine={"answer_tokens": 50})
    sampling = sampling_of(
        body(
            max_tokens=5000, temperature=0, top_p=0.5, stop="END", seed=7, presence_penalty=1, reasoning_effort="none"
        ),
        settings,
    )
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p) == (100, 0, 0.5)
    assert (sampling.stop, sampling.seed) == (("END",), 7)
    assert sampling.extra == {"presence_penalty": 1, "reasoning_effort": "none"}
    assert sampling_of(body(), settings).max_tokens == 50
    assert sampling_of(body(max_completion_tokens=9), settings).max_tokens == 9


def test_thinking_comes_on_top_of_the_usual_tokens_and_within_those_asked_for() -> None:
    settings = Settings.load(engine={"answer_tokens": 500})
    assert sampling_of(body(reasoning_effort="low"), settings).max_tokens == 1524
    assert sampling_of(body(reasoning_effort="none"), settings).max_tokens == 500
    assert sampling_of(body(reasoning_effort="low", max_tokens=300), settings).max_tokens == 300
