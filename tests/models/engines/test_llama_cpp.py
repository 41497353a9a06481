"""The real llama.cpp engine: streaming, counting, and being left at any moment."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

import orjson
import pytest

from models.base import Message, Prompt, Sampling
from models.engines.connected import ConnectedEngine
from models.engines.engine import Pace
from models.engines.llama_cpp import MODEL, llama_cpp
from models.engines.process import ProcessEngine
from models.errors import InputTooLong, Unavailable
from models.quoting.grammar import quoted_answer
from models.quoting.inert import inert
from tests.conftest import Llama
from tests.processes import alive
from tests.until import PATIENCE, SOON, until

pytestmark = pytest.mark.engine

SHORT = Prompt((Message("user", "What is Python?"),))
LONG = Prompt((Message("user", "What is Python? " * 600),))
ENDLESS = Sampling(max_tokens=3000, temperature=0.0, extra={"ignore_eos": True})


@pytest.fixture
async def engine(llama: Llama) -> AsyncIterator[ConnectedEngine]:
    async with ConnectedEngine(llama.url, api_key=llama.api_key) as engine:
        await engine.wait_ready(PATIENCE)
        yield engine


async def idle(engine: ConnectedEngine, within: float) -> None:
    async def is_idle() -> bool:
        return await engine.running() == 0

    await until(is_idle, within)


async def busy(engine: ConnectedEngine) -> None:
    async def is_busy() -> bool:
        return await engine.running() == 1

    await until(is_busy, PATIENCE)


async def test_it_streams_and_counts_what_it_writes(engine: ConnectedEngine) -> None:
    async with engine.generator.stream(SHORT, Sampling(max_tokens=12, temperature=0.0)) as stream:
        deltas = [delta async for delta in stream]
    assert deltas[-1].finish_reason == "length"
    usage = deltas[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 12
    assert usage.prompt_tokens == await engine.generator.count_tokens(SHORT.messages)
    assert "".join(delta.text for delta in deltas)


async def test_a_connected_engine_learns_model_and_context(engine: ConnectedEngine) -> None:
    assert engine.generator.name == MODEL
    assert engine.generator.context_tokens == 4096


async def test_leaving_the_context_while_it_writes_stops_it_within_a_second(engine: ConnectedEngine) -> None:
    async with engine.generator.stream(SHORT, ENDLESS) as deltas:
        await anext(deltas)
        await busy(engine)
    await idle(engine, within=SOON)


async def test_leaving_the_context_while_it_reads_the_prompt_stops_it_within_a_second(engine: ConnectedEngine) -> None:
    async def read() -> None:
        async with engine.generator.stream(LONG, ENDLESS) as deltas:
            await anext(deltas)

    task = asyncio.create_task(read())
    await busy(engine)
    task.cancel()
    await asyncio.wait([task])
    await idle(engine, within=SOON)
    assert task.cancelled()


@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_a_raw_request_stops_it_streamed_or_not(engine: ConnectedEngine, stream: bool) -> None:
    messages = [{"role": "user", "content": "What is Python?"}]
    body = orjson.dumps({"messages": messages, "max_tokens": 3000, "ignore_eos": True, "stream": stream})

    async def relay() -> None:
        async with engine.generator.proxy("/chat/completions", body) as reply:
            async for _ in reply.chunks:
                pass

    task = asyncio.create_task(relay())
    await busy(engine)
    task.cancel()
    await asyncio.wait([task])
    await idle(engine, within=SOON)
    assert task.cancelled()


async def test_a_raw_answer_that_is_not_streamed_is_one_completion(engine: ConnectedEngine) -> None:
    messages = [{"role": "user", "content": "Say hello."}]
    body = orjson.dumps({"messages": messages, "max_tokens": 4, "n": 2, "logprobs": True, "temperature": 0})
    async with engine.generator.proxy("/chat/completions", body) as reply:
        answer = orjson.loads(b"".join([chunk async for chunk in reply.chunks]))
    assert (reply.status, answer["object"]) == (200, "chat.completion")
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert all(choice["message"]["content"] and choice["finish_reason"] == "length" for choice in answer["choices"])
    assert all(len(choice["logprobs"]["content"]) == 4 for choice in answer["choices"])
    assert answer["usage"]["completion_tokens"] == 8


async def test_a_prompt_past_its_context_is_input_too_long(engine: ConnectedEngine) -> None:
    with pytest.raises(InputTooLong):
        async with engine.generator.stream(Prompt((Message("user", "word " * 6000),)), Sampling()):
            pytest.fail("the context opened")


async def test_under_the_grammar_it_says_only_sentences_of_the_prompt_each_with_its_mark(
    engine: ConnectedEngine,
) -> None:
    passages = (
        "The with statement wraps the execution of a block. It uses a context manager for that.",
        "The lambda keyword makes an anonymous function.",
    )
    shown = f"[1] {passages[0]}\n[2] {passages[1]}\n\nQuestion: What does the with statement do?"
    prompt = Prompt((Message("user", shown),), "What does the with statement do?", passages)
    sampling = Sampling(max_tokens=200, extra=quoted_answer(prompt))
    async with engine.generator.stream(prompt, sampling) as stream:
        deltas = [delta async for delta in stream]
    first = "The with statement wraps the execution of a block. [1]"
    assert "".join(delta.text for delta in deltas) in (first, f"{first} It uses a context manager for that. [1]")
    assert deltas[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    "extra",
    [
        {"tools": [{"type": "function", "function": {"name": "weather"}}], "tool_choice": "required"},
        {"response_format": {"type": "json_object"}},
    ],
)
def test_what_a_program_reads_is_written_without_chance_unless_asked_for(extra: dict[str, object]) -> None:
    traits = llama_cpp().traits
    requests = [traits.request(MODEL, SHORT, Sampling(temperature=given, extra=extra)) for given in (None, 0.7)]
    assert [orjson.loads(request)["temperature"] for request in requests] == [0.0, 0.7]


async def test_a_killed_engine_is_started_again_and_serves() -> None:
    async with ProcessEngine(llama_cpp(slots=1), pace=Pace(first=0.01)) as engine:
        await engine.wait_ready(PATIENCE)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        await until(lambda: engine.status != "ready", PATIENCE)
        assert "SIGKILL" in str(engine.last_error)
        with pytest.raises(Unavailable, match=f"{MODEL} is restarting"):
            async with engine.generator.stream(SHORT, Sampling()):
                pytest.fail("the context opened")
        await engine.wait_ready(PATIENCE)
        assert engine.restarts == 1
        async with engine.generator.stream(SHORT, Sampling(max_tokens=2)) as deltas:
            assert [delta async for delta in deltas][-1].finish_reason == "length"
        pid = engine.pid
    assert pid is not None
    assert not alive(pid)


PARENT = """
import asyncio, time
from models.engines.process import ProcessEngine
from models.engines.llama_cpp import llama_cpp

async def main():
    async with ProcessEngine(llama_cpp(slots=1)) as engine:
        await engine.wait_ready(60)
        print(engine.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_parent_killed_without_a_word_leaves_no_child() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert alive(child)
    parent.kill()
    await parent.wait()
    await until(lambda: not alive(child), PATIENCE)
    assert not alive(child)


async def test_what_a_document_says_is_no_token_of_the_chat(engine: ConnectedEngine) -> None:
    """llama.cpp reads `<|im_end|>` in a message as the token: one; the words of it are several."""

    async def counted(text: str) -> int:
        return await engine.generator.count_tokens([Message("user", text)])

    token, empty = "<|im_end|>", await counted("")
    assert await counted(token * 4) - empty < 8
    assert await counted(inert(token * 4)) - empty > 16
