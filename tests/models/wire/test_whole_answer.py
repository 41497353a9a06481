"""A whole completion from its stream."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.wire.whole_answer import WholeAnswer, as_watched_stream, without_reports


def event(delta: dict[str, object], reason: str | None = None, index: int = 0, **fields: object) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": reason}
    return b"data: " + orjson.dumps({"id": "c", "model": "m", "choices": [choice], **fields}) + b"\n\n"


TOOL_CALL = [
    event({"role": "assistant", "content": None}, prompt_progress={"processed": 3}),
    event({"tool_calls": [{"index": 0, "id": "t", "function": {"name": "weather", "arguments": '{"city"'}}]}),
    event({"tool_calls": [{"index": 0, "function": {"arguments": ': "서울"}'}}]}),
    event({}, "tool_calls"),
    b'data: {"choices": [], "usage": {"prompt_tokens": 3}}\n\ndata: [DONE]\n\n',
]


@given(st.integers(1, 400))
def test_pieces_of_a_tool_call_are_joined_however_the_bytes_are_cut(size: int) -> None:
    data, answer = b"".join(TOOL_CALL), WholeAnswer()
    for start in range(0, len(data), size):
        answer.feed(data[start : start + size])
    assert answer.finished
    call = {"id": "t", "type": "function", "function": {"name": "weather", "arguments": '{"city": "서울"}'}}
    assert orjson.loads(answer.json()) == {
        "id": "c",
        "model": "m",
        "object": "chat.completion",
        "usage": {"prompt_tokens": 3},
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "", "tool_calls": [call]},
                "finish_reason": "tool_calls",
            }
        ],
    }


@given(st.integers(1, 400))
def test_a_caller_who_did_not_ask_for_reports_gets_comments_and_the_role_once(size: int) -> None:
    data = TOOL_CALL[0] + event({"role": "assistant", "content": None}) + b"".join(TOOL_CALL[1:])

    async def cut() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    async def read() -> bytes:
        return b"".join([chunk async for chunk in without_reports(cut())])

    assert asyncio.run(read()) == b": reading the prompt\n\n" + data[len(TOOL_CALL[0]) :]


def test_choices_stay_apart_with_their_reasoning() -> None:
    answer = WholeAnswer()
    answer.feed(event({"content": "b"}, index=1) + event({"reasoning_content": "hm"}) + event({"content": "a"}))
    assert not answer.finished
    answer.feed(event({}, "stop") + event({}, "length", index=1))
    messages = [choice["message"] for choice in orjson.loads(answer.json())["choices"]]
    assert messages == [
        {"role": "assistant", "content": "a", "reasoning_content": "hm"},
        {"role": "assistant", "content": "b"},
    ]


def test_an_in_band_error_is_kept() -> None:
    answer = WholeAnswer()
    answer.feed(b'data: {"error": {"message": "x", "code": 400}}\n\n')
    assert answer.error == {"message": "x", "code": 400}
    assert not answer.finished


@pytest.mark.parametrize("stream", [True, False, None])
def test_the_engine_is_always_asked_for_a_stream_that_reports_on_reading(stream: bool | None) -> None:
    request = orjson.loads(as_watched_stream({"stream": stream, "n": 2}))
    assert request.pop("stream_options", None) == (None if stream else {"include_usage": True})
    assert request == {"stream": True, "return_progress": True, "n": 2}
