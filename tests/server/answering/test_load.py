"""Under load and under silence: refusals that say when to come again, heartbeats that keep a proxy awake."""

import asyncio
from pathlib import Path

import openai
import pytest

from models.embedders.e5 import E5Embedder
from models.wire.sse import SseParser
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import QUESTION, House, house
from tests.stub_engine import Error, Finish, Hold, Raw, Status
from tests.until import PATIENCE, until

MESSAGES = [{"role": "user", "content": QUESTION}]
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("model", ["ragpod", "stub"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_full_queue_answers_429_with_retry_after(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, model: str, stream: bool
) -> None:
    limits = {"answers": 1, "queue": 1, "queue_seconds": 600}
    async with house(data_dir, embedder, tokenizer, limits=limits) as home:
        body = {"model": model, "messages": MESSAGES, "stream": stream}
        async with home.state.admission.admit():
            waiting = asyncio.create_task(home.http.post(home.url + CHAT, json=body))
            await until(lambda: home.state.admission.waiting == 1, PATIENCE)
            with pytest.raises(openai.RateLimitError) as caught:
                await home.openai.chat.completions.create(**body)
            assert caught.value.code == "queue_full"
            assert int(caught.value.response.headers["retry-after"]) > 0
            assert home.stub.requests == []
        async with await waiting as response:
            assert response.status == 200


@pytest.mark.parametrize("model", ["ragpod", "stub"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_long_wait_in_the_queue_answers_503(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, model: str, stream: bool
) -> None:
    limits = {"answers": 1, "queue": 1, "queue_seconds": 0.05}
    async with house(data_dir, embedder, tokenizer, limits=limits) as home, home.state.admission.admit():
        status, answer = await home.post(CHAT, {"model": model, "messages": MESSAGES, "stream": stream})
        assert (status, answer["error"]["code"]) == (503, "queue_timeout")
        assert home.stub.requests == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"model": "ragpod", "messages": MESSAGES, "stream": True}),
        (CHAT, {"model": "stub", "messages": MESSAGES, "stream": True}),
        ("/api/v1/chat/stream", {"question": QUESTION}),
    ],
)
async def test_silence_is_filled_with_comments_that_clients_do_not_see(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, path: str, body: dict[str, object]
) -> None:
    async with house(data_dir, embedder, tokenizer, heartbeat_seconds=0.02) as home:
        home.stub.script(Hold(), "네", Finish())
        async with home.http.post(home.url + path, json=body) as response:
            assert response.headers["x-accel-buffering"] == "no"
            assert response.headers["cache-control"] == "no-store"
            assert "content-encoding" not in response.headers
            raw = b""
            async for data in response.content.iter_any():
                raw += data
                if raw.count(b": ping\n\n") >= 3:
                    home.stub.release()
        assert raw.count(b": ping\n\n") >= 3
        assert not any(b"ping" in event for event in SseParser().feed(raw))
        if path == CHAT:
            home.stub.script(Hold(), "네", Finish())
            stream = await home.openai.chat.completions.create(**body)  # type: ignore[call-overload]
            home.stub.release()  # the headers came with the first comment
            chunks = [chunk async for chunk in stream]
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "네"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["ragpod", "stub"])
async def test_an_engine_that_refuses_inside_a_stream_answers_503_with_retry_after(
    home: House, model: str, stream: bool
) -> None:
    whole = model == "stub" and not stream
    home.stub.script(Status(503, "queue full") if whole else Error(503, "queue full"))
    home.stub.silent_start = True
    async with home.http.post(
        home.url + CHAT, json={"model": model, "messages": MESSAGES, "stream": stream}
    ) as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "queue full" in (await response.json())["error"]["message"]


async def test_a_refusal_cut_anywhere_is_still_a_refusal_and_an_answer_is_still_whole(home: House) -> None:
    home.stub.silent_start = True
    for size in (1, 5, 40):
        home.stub.write_size = size
        home.stub.script(Error(503, "queue full"))
        body = {"model": "stub", "messages": MESSAGES, "stream": True}
        assert (await home.post(CHAT, body))[0] == 503
        home.stub.script(Raw(b": hello\n\n"), "배송은", Finish())
        chunks = await home.stream(CHAT, body)
        assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == "배송은"


@pytest.mark.parametrize("stream", [False, True])
async def test_no_message_to_a_caller_names_the_engines_address(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, stream: bool
) -> None:
    async with house(data_dir, embedder, tokenizer) as home:
        address = home.stub.root.removeprefix("http://")
        home.state.engine.generator.base_url = "http://127.0.0.1:9/v1"
        for model in ("ragpod", "stub"):
            async with home.http.post(
                home.url + CHAT, json={"model": model, "messages": MESSAGES, "stream": stream}
            ) as response:
                text = await response.text()
            assert response.status == (200 if model == "ragpod" else 503)
            assert "127.0.0.1" not in text
            assert address not in text
