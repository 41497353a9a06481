"""The streaming client against a scripted engine over a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator

import orjson
import pytest

from models.base import Message, Prompt, Sampling, TokenDelta, Usage
from models.errors import InputTooLong, Overloaded, Timeout, Unavailable
from models.wire.engine_traits import EngineTraits
from models.wire.openai_client import OpenAIClient, Timeouts
from models.wire.token_counting import estimate_tokens
from tests.stub_engine import TOO_LONG, Die, End, Error, Finish, Hold, Raw, Reasoning, Status, StubEngine
from tests.until import PATIENCE

MESSAGES = (Message("user", "수도는?"),)
PROMPT = Prompt(MESSAGES)


@pytest.fixture
async def stub() -> AsyncIterator[StubEngine]:
    async with StubEngine() as stub:
        yield stub


@pytest.fixture
async def client(stub: StubEngine) -> AsyncIterator[OpenAIClient]:
    async with OpenAIClient(stub.url, "stub", "secret") as client:
        yield client


async def answer(client: OpenAIClient, sampling: Sampling | None = None) -> list[TokenDelta]:
    async with client.stream(PROMPT, sampling or Sampling()) as deltas:
        return [delta async for delta in deltas]


async def test_deltas_come_with_reasoning_apart_and_the_last_carries_finish_and_usage(
    stub: StubEngine, client: OpenAIClient
) -> None:
    stub.script(Reasoning("hm"), Reasoning("…", "reasoning_content"), "서울", " [1]", Finish("length"))
    assert await answer(client, Sampling(max_tokens=9)) == [
        TokenDelta(reasoning="hm"),
        TokenDelta(reasoning="…"),
        TokenDelta("서울"),
        TokenDelta(" [1]"),
        TokenDelta(finish_reason="length", usage=Usage(11, 3)),
    ]
    assert stub.requests[0]["max_tokens"] == 9
    assert stub.headers[0]["authorization"] == "Bearer secret"


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_half_a_syllable_per_write_is_never_seen_halved(
    stub: StubEngine, client: OpenAIClient, size: int
) -> None:
    stub.write_size = size
    stub.script("대한", "민국의 수도는 서울입니다 [1].", Finish())
    assert "".join([delta.text for delta in await answer(client)]) == "대한민국의 수도는 서울입니다 [1]."


async def test_answers_in_a_row_use_one_connection(
    stub: StubEngine, client: OpenAIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.wire.openai_client._LAST_BYTES_SECONDS", PATIENCE)
    for _ in range(5):
        assert (await answer(client))[-1].finish_reason == "stop"
    assert stub.connections == 1


async def test_leaving_the_context_stops_the_engine_at_once(stub: StubEngine, client: OpenAIClient) -> None:
    stub.script("a", Hold())
    async with client.stream(PROMPT, Sampling()) as deltas:
        assert await anext(deltas) == TokenDelta("a")
        assert stub.running == 1
    await stub.idle()


async def test_cancelling_before_the_headers_stops_the_engine(stub: StubEngine, client: OpenAIClient) -> None:
    stub.script(Hold())
    task = asyncio.create_task(answer(client))
    await stub.started()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stub.idle()


async def test_cancelling_between_tokens_stops_the_engine(stub: StubEngine, client: OpenAIClient) -> None:
    stub.script("a", Hold())
    first = asyncio.Event()

    async def consume() -> None:
        async with client.stream(PROMPT, Sampling()) as deltas:
            async for _ in deltas:
                first.set()

    task = asyncio.create_task(consume())
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stub.idle()


@pytest.mark.parametrize("end", [Die(), End()])
async def test_an_engine_that_dies_mid_stream_is_unavailable_after_its_tokens(
    stub: StubEngine, client: OpenAIClient, end: Die | End
) -> None:
    stub.script("half an", end)
    async with client.stream(PROMPT, Sampling()) as deltas:
        assert await anext(deltas) == TokenDelta("half an")
        with pytest.raises(Unavailable):
            await anext(deltas)


async def test_an_in_band_503_before_the_first_token_is_overload(stub: StubEngine, client: OpenAIClient) -> None:
    stub.script(Error(503, "queue full"))
    with pytest.raises(Overloaded, match="queue full"):
        await answer(client)


async def test_an_in_band_error_after_a_token_is_unavailable(stub: StubEngine, client: OpenAIClient) -> None:
    stub.script("a", Error(503))
    with pytest.raises(Unavailable, match="broke off"):
        await answer(client)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(TOO_LONG, InputTooLong), (Status(503), Overloaded), (Status(429), Overloaded), (Status(401), Unavailable)],
)
async def test_a_refusal_raises_on_entry(
    stub: StubEngine, client: OpenAIClient, status: Status, kind: type[Exception]
) -> None:
    stub.script(status)
    with pytest.raises(kind):
        async with client.stream(PROMPT, Sampling()):
            pytest.fail("the context opened")
    assert stub.running == 0


async def test_bytes_that_are_no_event_stream_are_unavailable(stub: StubEngine, client: OpenAIClient) -> None:
    stub.script(Raw(b"data: <html>\n\n"))
    with pytest.raises(Unavailable, match="not JSON"):
        await answer(client)


async def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with OpenAIClient(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", "m") as client:
            with pytest.raises(Unavailable, match="cannot be reached"):
                await answer(client)


@pytest.mark.parametrize("steps", [(Hold(),), ("", Hold()), (Raw(b": ping\n\n"), Hold())])
async def test_a_late_first_token_is_a_timeout_and_stops_the_engine(stub: StubEngine, steps: tuple[Hold, ...]) -> None:
    stub.script(*steps)
    async with OpenAIClient(stub.url, "stub", timeouts=Timeouts(first=0.05)) as client:
        with pytest.raises(Timeout):
            await answer(client)
    await stub.idle()


async def test_silence_between_tokens_is_a_timeout(stub: StubEngine) -> None:
    stub.script("a", Hold())
    async with OpenAIClient(stub.url, "stub", timeouts=Timeouts(idle=0.05)) as client:
        with pytest.raises(Timeout):
            await answer(client)
    await stub.idle()


async def test_a_client_whose_engine_is_down_sends_nothing(stub: StubEngine) -> None:
    def down() -> None:
        raise Unavailable("the engine is restarting")

    async with OpenAIClient(stub.url, "stub", check=down) as client:
        with pytest.raises(Unavailable, match="restarting"):
            await answer(client)
    assert stub.requests == []


async def test_a_closed_client_is_unavailable(stub: StubEngine) -> None:
    with pytest.raises(Unavailable, match="not open"):
        await answer(OpenAIClient(stub.url, "stub"))


async def test_raw_requests_and_bytes_pass_unchanged(stub: StubEngine, client: OpenAIClient) -> None:
    stub.script("a", Finish())
    body = orjson.dumps({"model": "stub", "messages": [], "stream": True, "logprobs": True})
    async with client.proxy("/chat/completions", body) as reply:
        data = b"".join([chunk async for chunk in reply.chunks])
    assert reply.status == 200
    assert reply.headers["Content-Type"].startswith("text/event-stream")
    assert data.endswith(b"data: [DONE]\n\n")
    assert stub.requests[0]["logprobs"] is True


async def test_raw_refusals_pass_with_their_status_and_retry_after(stub: StubEngine, client: OpenAIClient) -> None:
    stub.script(Status(429, "later", headers={"Retry-After": "3"}))
    async with client.proxy("/chat/completions", b"{}") as reply:
        data = b"".join([chunk async for chunk in reply.chunks])
    assert (reply.status, reply.headers["Retry-After"]) == (429, "3")
    assert orjson.loads(data)["error"]["message"] == "later"


@pytest.mark.parametrize("body", [b"{}", b'{"stream": true}'])
async def test_leaving_a_raw_request_stops_the_engine_streamed_or_not(
    stub: StubEngine, client: OpenAIClient, body: bytes
) -> None:
    stub.script(Hold())

    async def relay() -> None:
        async with client.proxy("/chat/completions", body) as reply:
            async for _ in reply.chunks:
                pass

    task = asyncio.create_task(relay())
    await stub.started()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stub.idle()


async def test_tokens_are_counted_by_the_engine_where_it_can(stub: StubEngine) -> None:
    stub.tokenize = 42
    async with OpenAIClient(stub.url, "stub", traits=EngineTraits("vllm")) as client:
        assert await client.count_tokens(MESSAGES) == 42


@pytest.mark.parametrize("dialect", ["openai", "vllm", "llama.cpp"])
async def test_counting_never_fails(stub: StubEngine, dialect: str) -> None:
    async with OpenAIClient(stub.url, "stub", traits=EngineTraits(dialect)) as client:  # type: ignore[arg-type]
        assert await client.count_tokens(MESSAGES) == estimate_tokens(MESSAGES) > 0
