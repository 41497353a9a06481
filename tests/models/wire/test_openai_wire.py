"""The OpenAI chat format: requests out, deltas in."""

from functools import partial

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import Message, Prompt, Sampling, TokenDelta, Usage
from models.errors import BadRequest, InputTooLong, Overloaded, Unavailable
from models.wire.engine_errors import refusal
from models.wire.engine_traits import EngineTraits
from models.wire.openai_wire import AnswerReader, chat_request
from models.wire.thinking import ThinkSplitter

PROMPT = Prompt((Message("system", "S"), Message("user", "안녕?")))


def event(delta: dict[str, str], reason: str | None = None, **fields: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + orjson.dumps({"choices": [choice], **fields}) + b"\n\n"


ANSWER = (
    event({"role": "assistant", "content": ""})
    + event({"reasoning": "음"})
    + event({"reasoning_content": "…"})
    + event({"content": "파이썬"})
    + event({"content": " [1]"})
    + event({}, "length")
    + b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2,'
    + b' "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 1}}}\n\n'
    + b"data: [DONE]\n\n"
)


def read(data: bytes, size: int) -> list[TokenDelta]:
    reader = AnswerReader("m")
    deltas = [delta for start in range(0, len(data), size) for delta in reader.feed(data[start : start + size])]
    return [*deltas, *reader.last()]


@given(st.integers(1, len(ANSWER)))
def test_an_answer_reads_the_same_however_it_is_cut(size: int) -> None:
    assert read(ANSWER, size) == [
        TokenDelta(reasoning="음"),
        TokenDelta(reasoning="…"),
        TokenDelta("파이썬"),
        TokenDelta(" [1]"),
        TokenDelta(finish_reason="length", usage=Usage(7, 2, 4, 1)),
    ]


def test_a_stream_without_finish_reason_is_unavailable() -> None:
    reader = AnswerReader("m")
    assert list(reader.feed(event({"content": "a"}) + b"data: [DONE]\n\n")) == [TokenDelta("a")]
    with pytest.raises(Unavailable, match="finish_reason"):
        reader.last()


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_an_aborted_generation_is_unavailable_not_an_answer(reason: str) -> None:
    with pytest.raises(Unavailable, match=reason):
        list(AnswerReader("m").feed(event({}, reason)))


@pytest.mark.parametrize("data", [b"data: {broken\n\n", b"data: [1]\n\n", b"data: null\n\n"])
def test_an_event_that_is_no_object_is_unavailable(data: bytes) -> None:
    with pytest.raises(Unavailable, match="broke off"):
        list(AnswerReader("m").feed(data))


def test_an_error_after_the_first_token_keeps_the_tokens_before_it() -> None:
    deltas = AnswerReader("m").feed(event({"content": "a"}) + b'data: {"error": {"message": "x", "code": 503}}\n\n')
    assert next(deltas) == TokenDelta("a")
    with pytest.raises(Unavailable, match="broke off: x"):
        next(deltas)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(503, Overloaded), ("503", Overloaded), (400, BadRequest), (500, Unavailable), (None, Unavailable)],
)
def test_an_in_band_error_before_the_first_token_means_what_its_code_means(code: object, kind: type[Exception]) -> None:
    data = b"data: " + orjson.dumps({"error": {"message": "no", "code": code}}) + b"\n\n"
    with pytest.raises(kind):
        list(AnswerReader("m").feed(data))


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens.",
        "request (12031 tokens) exceeds the available context size (4096 tokens), try increasing it",
    ],
)
def test_a_prompt_past_the_context_is_input_too_long(message: str) -> None:
    body = orjson.dumps({"error": {"message": message, "code": 400}})
    assert isinstance(refusal("m", 400, body), InputTooLong)


def test_a_refused_parameter_is_named() -> None:
    error = refusal("m", 400, b'{"error": {"message": "bad", "param": "top_p"}}')
    assert isinstance(error, BadRequest)
    assert error.param == "top_p"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, Unavailable, "API key"),
        (404, Unavailable, "no model m"),
        (429, Overloaded, "busy"),
        (503, Overloaded, "busy"),
        (500, Unavailable, "HTTP 500"),
    ],
)
def test_each_status_has_its_error_and_a_clear_message(status: int, kind: type[Exception], words: str) -> None:
    for body in (b'{"error": {"message": "why"}}', b"plain words", b"[]", b""):
        error = refusal("m", status, body)
        assert isinstance(error, kind)
        assert words in str(error)


def test_sampling_wins_over_the_engines_defaults_and_neither_can_turn_streaming_off() -> None:
    sampling = Sampling(max_tokens=5, temperature=0.0, stop=("\n",), seed=3, extra={"top_k": 1, "stream": False})
    request = orjson.loads(
        chat_request("m", PROMPT, sampling, {"temperature": 0.7, "grammar": "root ::= x", "top_k": 9})
    )
    assert request == {
        "model": "m",
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "안녕?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "grammar": "root ::= x",
        "top_k": 1,
        "max_tokens": 5,
        "temperature": 0.0,
        "stop": ["\n"],
        "seed": 3,
    }


def test_unset_sampling_leaves_the_engines_own_defaults() -> None:
    request = orjson.loads(chat_request("m", PROMPT, Sampling(), {}))
    assert set(request) == {"model", "messages", "stream", "stream_options"}


def whole(data: bytes, reader: AnswerReader) -> tuple[str, str]:
    """Thoughts and answer."""
    deltas = [*reader.feed(data), *reader.last()]
    return "".join(delta.reasoning for delta in deltas), "".join(delta.text for delta in deltas)


def test_a_think_block_in_the_text_becomes_reasoning() -> None:
    data = b"".join(event({"content": part}) for part in ("<th", "ink>Hm", "</thi", "nk>\n\nSe", "oul")) + event(
        {}, "stop"
    )
    assert whole(data, AnswerReader("m", ThinkSplitter)) == ("Hm", "Seoul")
    assert whole(data, AnswerReader("m")) == ("", "<think>Hm</think>\n\nSeoul")


def test_text_after_reasoning_of_its_own_field_is_taken_as_it_is() -> None:
    data = event({"reasoning": "Hm"}) + event({"content": "<think> is a tag"}) + event({}, "stop")
    assert whole(data, AnswerReader("m", partial(ThinkSplitter, opened=True))) == ("Hm", "<think> is a tag")


@pytest.mark.parametrize(
    ("thinks", "finish", "expected"),
    [(False, "stop", ("Seoul", "Seoul")), (True, "stop", ("Seoul", "")), (False, "length", ("Seoul", ""))],
)
def test_an_answer_that_went_into_reasoning_though_no_thinking_was_asked_is_still_the_answer(
    thinks: bool, finish: str, expected: tuple[str, str]
) -> None:
    data = event({"reasoning": "Seoul"}) + event({}, finish)
    assert whole(data, AnswerReader("m", ThinkSplitter, thinks=thinks)) == expected


def test_an_opened_block_that_never_closes_was_the_answer() -> None:
    data = event({"content": "Seoul </th"}) + event({}, "stop")
    assert whole(data, AnswerReader("m", partial(ThinkSplitter, opened=True))) == ("Seoul </th", "Seoul </th")


@pytest.mark.parametrize(
    ("model", "dialect", "effort", "asked"),
    [
        ("Qwen3-32B", "vllm", None, False),
        ("Qwen3-32B", "vllm", "none", False),
        ("Qwen3-32B", "vllm", "low", True),
        ("Qwen3-32B", "openai", "low", None),
        ("SmolLM2", "vllm", "low", None),
    ],
)
def test_a_qwen3_on_vllm_is_told_whether_to_think(
    model: str, dialect: str, effort: str | None, asked: bool | None
) -> None:
    sampling = Sampling(extra={"reasoning_effort": effort} if effort else {})
    request = orjson.loads(EngineTraits(dialect).request(model, PROMPT, sampling))  # type: ignore[arg-type]
    assert request.get("chat_template_kwargs") == (None if asked is None else {"enable_thinking": asked})
    assert request.get("reasoning_effort") == effort
