"""The engine by its own model id."""

import asyncio
from typing import Any

import openai
import orjson
import pytest

from models.wire.sse import SseParser
from tests.server.house import House
from tests.stub_engine import Die, End, Finish, Hold, Raw, Status

ASK: dict[str, Any] = {"model": "stub", "messages": [{"role": "user", "content": "Hi"}]}


async def test_the_engine_answers_with_every_parameter_and_without_retrieval(home: House) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    answer = await home.openai.chat.completions.create(
        **ASK, tools=[tool], n=2, logprobs=True, response_format={"type": "json_object"}, extra_body={"top_k": 5}
    )
    sent = home.stub.requests[-1]
    assert answer.choices[0].message.content == "Hello world"
    assert (sent["n"], sent["logprobs"], sent["top_k"]) == (2, True, 5)
    assert (sent["tools"], sent["messages"]) == ([tool], ASK["messages"])


async def test_its_stream_is_relayed_as_it_comes(home: House) -> None:
    home.stub.script("안녕", "하세요", Finish("length"))
    home.stub.write_size = 3
    options = {"include_usage": True}
    chunks = [c async for c in await home.openai.chat.completions.create(**ASK, stream=True, stream_options=options)]
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "안녕하세요"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("stream", [False, True])
async def test_its_refusal_keeps_status_and_parameter(home: House, stream: bool) -> None:
    home.stub.script(Status(400, "bad grammar", param="response_format"))
    with pytest.raises(openai.BadRequestError, match="bad grammar") as caught:
        await home.openai.chat.completions.create(**ASK, stream=stream)
    assert caught.value.param == "response_format"


async def test_its_overload_keeps_retry_after(home: House) -> None:
    home.stub.script(Status(429, "full", headers={"Retry-After": "7"}))
    with pytest.raises(openai.RateLimitError) as caught:
        await home.openai.chat.completions.create(**ASK)
    assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_dies_is_an_error(home: House, stream: bool) -> None:
    home.stub.script("Hel", Die())

    async def read() -> None:
        answer = await home.openai.chat.completions.create(**ASK, stream=stream)
        async for _ in answer:
            pass

    with pytest.raises(openai.APIError, match="engine"):
        await read()


@pytest.mark.parametrize(
    "change",
    [
        {"api_base": "http://127.0.0.1:1"},
        {"llm_endpoint": "http://127.0.0.1:1"},
        {"chat_template": "{{ x }}"},
        {"kv_transfer_params": {"remote_host": "10.0.0.1"}},
        {"priority": -1},
        {"chat_template_kwargs": {"tokenize": True}},
        {"mm_processor_kwargs": {}},
        {"n": 1000},
        {"ragpod": {"top_k": 3}},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]},
    ],
)
async def test_nothing_that_reaches_out_or_floods_reaches_the_engine(home: House, change: dict[str, Any]) -> None:
    status, body = await home.post("/v1/chat/completions", ASK | change)
    assert status == 400
    assert body["error"]["param"].startswith(next(iter(change)))
    assert home.stub.requests == []


async def test_max_tokens_is_cut_to_the_limit(home: House) -> None:
    await home.openai.chat.completions.create(**ASK, max_tokens=10**6)
    assert home.stub.requests[-1]["max_tokens"] == home.parts.settings.limits.max_tokens


@pytest.mark.parametrize("tail", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n", b"data:[DONE]\n\n", b""])
async def test_a_stream_ends_in_one_done_however_the_engine_ends_it(home: House, tail: bytes) -> None:
    last = b'data: {"choices":[{"index":0,"delta":{"content":"!"}}]}' + (b"\r\n\r\n" + tail if tail else b"")
    home.stub.script("Hi", Raw(last), End())
    async with home.http.post(f"{home.url}/v1/chat/completions", json=ASK | {"stream": True}) as response:
        sent = await response.read()
    assert sent.count(b"[DONE]") == 1
    *events, done = SseParser().feed(sent)
    assert done == b"[DONE]"
    assert [orjson.loads(event)["choices"][0]["delta"]["content"] for event in events] == ["", "Hi", "!"]


async def test_a_refusal_without_a_blank_line_keeps_its_status(home: House) -> None:
    home.stub.silent_start = True
    home.stub.script(Raw(b'data: {"error":{"message":"full","code":503}}'), End())
    status, body = await home.post("/v1/chat/completions", ASK | {"stream": True})
    assert (status, body["error"]["message"]) == (503, "full")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_is_told_to_whoever_still_reads(home: House, stream: bool) -> None:
    home.stub.script(Hold())
    asking = asyncio.create_task(home.post("/v1/chat/completions", ASK | {"stream": stream}))
    await home.stub.started()
    ((owner, trace_id),) = home.parts.runs.ids()
    assert home.parts.runs.stop(owner, trace_id)
    status, body = await asking
    assert (status, body["error"]["code"]) == (499, "cancelled")
    await home.stub.idle()
