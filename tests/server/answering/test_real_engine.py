"""The whole server on real engines: llama.cpp by its URL, and vLLM as the process of the pod (make test-vllm)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from models.embedders.e5 import E5Embedder
from models.engines.process import ProcessEngine
from retrieval.passages.tokenize import Tokenizer
from tests.conftest import Llama
from tests.server.house import House, house
from tests.until import PATIENCE, SOON, until

# One event loop for all: the engine process is watched in it.
pytestmark = [pytest.mark.asyncio(loop_scope="session")]

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "What does the with statement do? Explain at length, with many examples."}]
ANSWER: dict[str, Any] = {"model": "ragpod:python", "messages": MESSAGES, "max_tokens": 2000}
ENGINE: dict[str, Any] = {"messages": MESSAGES, "max_tokens": 2000, "ignore_eos": True}
Real = Llama | ProcessEngine


@pytest.fixture(
    params=[pytest.param("llama", marks=pytest.mark.engine), pytest.param("vllm_engine", marks=pytest.mark.vllm)]
)
def real(request: pytest.FixtureRequest) -> Real:
    engine: Real = request.getfixturevalue(request.param)
    return engine


@pytest_asyncio.fixture(loop_scope="session")
async def home(data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, real: Real) -> AsyncIterator[House]:
    async with house(data_dir, embedder, tokenizer, real=real) as opened:
        yield opened


async def engine_runs(home: House, count: int, within: float) -> None:
    async def as_many() -> bool:
        return await home.parts.generators.engine.running() == count

    await until(as_many, within)


async def test_joined_deltas_are_the_whole_text_and_the_stored_text_at_temperature_0(home: House) -> None:
    asked = ANSWER | {"temperature": 0, "max_tokens": 40, "seed": 1}
    whole = await home.openai.chat.completions.create(**asked)
    chunks = [c async for c in await home.openai.chat.completions.create(**asked, stream=True)]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    _, trace = await home.get(f"/api/v1/traces/{(chunks[-1].model_extra or {})['ragpod']['trace_id']}")
    assert text == whole.choices[0].message.content == trace["answer"]
    assert text
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == trace["usage"]["prompt_tokens"] > 50
    assert whole.choices[0].finish_reason == trace["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["ragpod:python", "engine"])
@pytest.mark.parametrize("ended_by", ["leaving", "stop"])
async def test_the_engine_is_free_within_a_second(home: House, model: str, stream: bool, ended_by: str) -> None:
    body = ANSWER if model != "engine" else ENGINE | {"model": home.parts.generators.engine.generator.name}
    await engine_runs(home, 0, PATIENCE)

    async def read() -> bytes:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as client,
            client.post(home.url + CHAT, json=body | {"stream": stream}) as response,
        ):
            return await response.read()

    reading = asyncio.create_task(read())
    await engine_runs(home, 1, PATIENCE)
    if ended_by == "leaving":
        reading.cancel()
    else:
        ((owner, trace_id),) = home.parts.runs.ids()
        assert (await home.post(f"/api/v1/chat/{trace_id}/stop", {}))[1]["stopped"] is True
        assert owner == "default"
    await asyncio.wait([reading])
    await engine_runs(home, 0, SOON)
    await until(lambda: len(home.parts.runs) == 0, PATIENCE)


async def test_a_total_limit_frees_the_engine(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, real: Real
) -> None:
    async with house(data_dir, embedder, tokenizer, real=real, limits={"total_seconds": 2.0}) as home:
        body = ENGINE | {"model": home.parts.generators.engine.generator.name}
        status, answer = await home.post(CHAT, body)
        assert (status, answer["error"]["code"]) == (504, "timeout")
        await engine_runs(home, 0, SOON)
        await until(lambda: home.parts.admission.running == 0, PATIENCE)
