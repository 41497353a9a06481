"""What only vLLM does: its flags for a Qwen3, its own overload, an engine core that dies in the middle of an answer."""

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import pytest_asyncio

from models.base import Message, Prompt, Sampling
from models.embedders.e5 import E5Embedder
from models.engines.connected import ConnectedEngine
from models.engines.process import ProcessEngine
from models.engines.vllm import VllmOptions, vllm
from models.errors import Overloaded
from models.wire.openai_client import OpenAIClient
from retrieval.passages.tokenize import Tokenizer
from tests.models.engines.test_vllm_plan import A100, H100, H200, L40S, RTX4090
from tests.processes import alive
from tests.server.house import House, house
from tests.until import PATIENCE, SOON, until

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="session")]

T = TypeVar("T")
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "What does the with statement do?"}]
ANSWER: dict[str, Any] = {"model": "ragpod:python", "messages": MESSAGES}
ENDLESS = {"max_tokens": 3000, "ignore_eos": True}
PROMPT = Prompt((Message("user", "What is Python?"),))


@pytest_asyncio.fixture(loop_scope="session")
async def idle_engine(vllm_engine: ProcessEngine) -> ProcessEngine:
    """It has two places: what a test before has left must have gone."""
    await running(vllm_engine, 0)
    return vllm_engine


@pytest_asyncio.fixture(loop_scope="session")
async def home(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, idle_engine: ProcessEngine
) -> AsyncIterator[House]:
    async with house(data_dir, embedder, tokenizer, real=idle_engine) as opened:
        yield opened


async def running(engine: ProcessEngine, count: int, within: float = PATIENCE) -> None:
    async def as_many() -> bool:
        return await engine.running() == count

    await until(as_many, within)


def model(home: House) -> str:
    return home.parts.generators.engine.generator.name


def always(monkeypatch: pytest.MonkeyPatch, engine: ProcessEngine, **fields: Any) -> None:
    """These fields in every request of an answer: what a small model cannot be asked for."""
    traits = engine.generator.traits
    defaults = lambda prompt, sampling: {**traits.defaults(prompt, sampling), **fields}  # noqa: E731
    monkeypatch.setattr(engine.generator, "traits", replace(traits, defaults=defaults))


async def metric(engine: ProcessEngine, name: str) -> float:
    _, body = await engine.get(f"{engine.generator.root}/metrics")
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*?\}})? (\S+)", body, re.MULTILINE))


@asynccontextmanager
async def busy(home: House, engine: ProcessEngine, count: int) -> AsyncIterator[None]:
    """`count` answers of the engine in progress, as long as the context lasts."""

    async def read() -> None:
        body = {"model": model(home), "messages": MESSAGES, "stream": True, **ENDLESS}
        async with home.http.post(home.url + CHAT, json=body) as response:
            await response.read()

    readers = [asyncio.create_task(read()) for _ in range(count)]
    await running(engine, count)
    try:
        yield
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)


def descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from descendants(child)


def named(pid: int, name: str) -> list[int]:
    return [child for child in descendants(pid) if name in Path(f"/proc/{child}/comm").read_text()]


async def test_vllm_knows_every_flag_of_every_card(vllm_python: Path) -> None:
    given = []
    for cards in ((H100,), (H200,), (A100,), (L40S,), (RTX4090, RTX4090), (H200, H200)):
        options = VllmOptions(executable=str(vllm_python), data_parallel=1 + (cards == (H200, H200)))
        command = vllm(options, cards).command
        given.append(command[command.index("--model") :])
    program = (
        "import json, sys; from vllm.entrypoints.launchers.cli_args import make_arg_parser;"
        "from vllm.utils.argparse_utils import FlexibleArgumentParser as P; parse = make_arg_parser(P()).parse_args;"
        "print(*[parse(line).kv_cache_memory_bytes for line in json.loads(sys.argv[1])])"
    )
    process = await asyncio.create_subprocess_exec(
        str(vllm_python), "-c", program, json.dumps(given), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    told, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-2000:]
    wanted = [line[line.index("--kv-cache-memory-bytes") + 1] for line in given]
    assert told.decode().splitlines()[-1].split() == wanted


async def test_an_answer_from_documents_has_citations_and_the_engines_own_count(
    home: House, vllm_engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    always(monkeypatch, vllm_engine, structured_outputs={"regex": r"It closes a file when its block ends \[1\]\."})
    names = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
    before = [await metric(vllm_engine, name) for name in names]
    _, answer = await home.post(CHAT, {**ANSWER, "temperature": 0, "max_tokens": 60})
    message, usage = answer["choices"][0]["message"], answer["usage"]
    assert message["content"] == "It closes a file when its block ends [1]."
    assert message["content"][message["annotations"][0]["start_index"] :].startswith("[1]")
    assert message["context"]["citations"][0]["filepath"] in ("with.md", "lambda.md")
    used = [usage["prompt_tokens"], usage["completion_tokens"]]

    async def counted() -> bool:
        return [await metric(vllm_engine, name) - was for name, was in zip(names, before, strict=True)] == used

    await until(counted, PATIENCE)


async def test_a_prompt_read_before_is_cached_and_the_usage_says_so(home: House) -> None:
    asked = {**ANSWER, "max_tokens": 2}
    first, second = [await home.openai.chat.completions.create(**asked) for _ in range(2)]
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert second.usage.prompt_tokens == first.usage.prompt_tokens
    assert (second.usage.prompt_tokens_details.cached_tokens or 0) > first.usage.prompt_tokens // 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("effort", [None, "none", "low"])
async def test_thoughts_are_asked_for_and_never_in_the_content(
    home: House, vllm_engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch, effort: str | None, stream: bool
) -> None:
    """The budget of low effort leaves a quarter of the tokens: with thinking too there is an answer."""
    always(monkeypatch, vllm_engine, min_tokens=64)
    body = {**ANSWER, "max_tokens": 64, "stream": stream} | ({"reasoning_effort": effort} if effort else {})
    if stream:
        chunks = [chunk["choices"][0]["delta"] for chunk in await home.stream(CHAT, body)]
        thoughts, content = ("".join(c.get(name) or "" for c in chunks) for name in ("reasoning", "content"))
    else:
        _, answer = await home.post(CHAT, body)
        message = answer["choices"][0]["message"]
        thoughts, content = message.get("reasoning", ""), message["content"]
        assert message.get("reasoning_content", "") == thoughts
    assert bool(thoughts) is (effort == "low")
    assert content
    assert "think>" not in content


async def test_thinking_off_is_the_default_of_the_engines_own_model_too(home: House) -> None:
    """vllm#53284: with a reasoning parser and thinking off, the answer is the content."""
    body = {"model": model(home), "messages": MESSAGES, "max_tokens": 8, "min_tokens": 8}
    _, off = await home.post(CHAT, body)
    assert off["choices"][0]["message"]["content"]
    assert not off["choices"][0]["message"].get("reasoning")
    _, on = await home.post(CHAT, body | {"chat_template_kwargs": {"enable_thinking": True}})
    assert on["choices"][0]["message"]["reasoning"]
    assert on["usage"]["prompt_tokens"] > off["usage"]["prompt_tokens"]
    assert not on["choices"][0]["message"]["content"]


async def test_tools_formats_logprobs_and_choices_pass_through_to_the_engine(home: House) -> None:
    colour = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    asked: dict[str, Any] = {"model": model(home), "messages": MESSAGES, "temperature": 0}
    schema = {"type": "json_schema", "json_schema": {"name": "c", "schema": colour}}
    formatted = await home.openai.chat.completions.create(**asked, response_format=schema, max_tokens=40)
    assert re.fullmatch(r'\s*\{\s*"colour"\s*:\s*"(red|blue)"\s*\}\s*', formatted.choices[0].message.content or "")
    tool = {"type": "function", "function": {"name": "paint", "strict": True, "parameters": colour}}
    choice = {"type": "function", "function": {"name": "paint"}}
    called = await home.openai.chat.completions.create(**asked, tools=[tool], tool_choice=choice, max_tokens=80)
    calls = called.choices[0].message.tool_calls
    assert calls
    assert calls[0].function.name == "paint"
    assert "colour" in calls[0].function.arguments
    asked["temperature"] = 1  # of greedy choices vLLM gives one only
    both = await home.openai.chat.completions.create(
        **asked, n=2, logprobs=True, top_logprobs=2, max_tokens=3, extra_body={"min_tokens": 3}
    )
    assert [len(choice.logprobs.content) for choice in both.choices if choice.logprobs] == [3, 3]
    assert both.usage is not None
    assert both.usage.completion_tokens == 6


async def test_a_prompt_past_its_context_is_refused_with_400(home: House) -> None:
    long = [{"role": "user", "content": "word " * 5000}]
    status, answer = await home.post(CHAT, {"model": model(home), "messages": long})
    assert (status, answer["error"]["type"]) == (400, "BadRequestError")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["ragpod:python", "engine"])
async def test_an_engine_without_a_place_answers_503_with_retry_after(
    home: House, vllm_engine: ProcessEngine, name: str, stream: bool
) -> None:
    async with busy(home, vllm_engine, 2):
        body = {"model": model(home) if name == "engine" else name, "messages": MESSAGES, "stream": stream}
        async with home.http.post(home.url + CHAT, json=body) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_vllms_own_refusal_is_a_status_too_though_it_says_200(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, idle_engine: ProcessEngine, stream: bool
) -> None:
    """By its URL nothing here counts its places: vLLM itself refuses, of simultaneous streams inside HTTP 200."""
    client = idle_engine.generator
    settings = {"url": client.base_url, "api_key": idle_engine.spec.api_key, "model": client.name}
    async with house(data_dir, embedder, tokenizer, engine=settings) as home:
        assert isinstance(home.parts.generators.engine, ConnectedEngine)
        body = {"model": client.name, "messages": MESSAGES, "stream": stream, **ENDLESS}

        async def ask() -> tuple[int, bool]:
            async with home.http.post(home.url + CHAT, json=body) as response:
                await response.read()
                return response.status, "Retry-After" in response.headers

        assert await first_of_six(ask, 4) == [(503, True)] * 4


async def test_simultaneous_streams_past_its_limit_are_overload_to_the_client(idle_engine: ProcessEngine) -> None:
    known = idle_engine.generator
    async with OpenAIClient(known.base_url, known.name, idle_engine.spec.api_key) as client:

        async def ask() -> str:
            try:
                async with client.stream(PROMPT, Sampling(max_tokens=3000, extra={"ignore_eos": True})) as deltas:
                    return f"answered: {[delta async for delta in deltas][-1]}"
            except Overloaded:
                return "overloaded"

        assert await first_of_six(ask, 4) == ["overloaded"] * 4


async def first_of_six(ask: Callable[[], Awaitable[T]], count: int) -> list[T]:
    """What the first `count` of six at once have got; the others, which have their places, are left."""
    asking = [asyncio.ensure_future(ask()) for _ in range(6)]
    try:
        async with asyncio.timeout(PATIENCE):
            return [await done for done in islice(asyncio.as_completed(asking), count)]
    finally:
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)


async def test_an_urgent_answer_is_asked_for_before_auxiliary_work(idle_engine: ProcessEngine) -> None:
    """Without --scheduling-policy priority any priority but 0 is an error."""
    async with idle_engine.generator.stream(
        PROMPT, Sampling(max_tokens=2, extra={"min_tokens": 2}, auxiliary=True)
    ) as deltas:
        assert [delta async for delta in deltas][-1].finish_reason == "length"


async def test_tokens_are_counted_as_the_engine_counts_them(idle_engine: ProcessEngine) -> None:
    async with idle_engine.generator.stream(PROMPT, Sampling(max_tokens=1)) as deltas:
        usage = [delta async for delta in deltas][-1].usage
    assert usage is not None
    assert usage.prompt_tokens == await idle_engine.generator.count_tokens(PROMPT.messages)


async def test_a_client_that_leaves_while_a_long_prompt_is_read_frees_the_engine(
    home: House, vllm_engine: ProcessEngine
) -> None:
    long = [{"role": "user", "content": "What is Python? " * 700}]

    async def read() -> None:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as client,
            client.post(home.url + CHAT, json={"model": model(home), "messages": long, **ENDLESS, "max_tokens": 500}),
        ):
            pytest.fail("it was answered")

    reading = asyncio.create_task(read())
    await running(vllm_engine, 1)
    reading.cancel()
    await asyncio.wait([reading])
    await running(vllm_engine, 0, SOON)


async def test_a_killed_engine_core_fails_its_answer_and_the_engine_comes_back(
    home: House, vllm_engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last: it takes the engine's start once more."""
    assert vllm_engine.pid is not None
    always(monkeypatch, vllm_engine, min_tokens=3000)
    everyone = {vllm_engine.pid, *descendants(vllm_engine.pid)}
    (core,) = named(vllm_engine.pid, "VLLM::EngineCor")
    begun = asyncio.Event()
    reading = asyncio.create_task(_read_until_the_end(home, begun))
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
    os.kill(core, signal.SIGKILL)
    status, text = await reading
    assert status == 200
    assert '"error"' in text
    assert '"finish_reason":"stop"' not in text
    assert text.endswith("data: [DONE]\n\n")
    assert "127.0.0.1" not in text
    await until(lambda: vllm_engine.status == "restarting" or vllm_engine.restarts > 0, PATIENCE)
    await until(lambda: not any(map(alive, everyone)), PATIENCE)
    ready, body = await home.get("/ready")
    assert (ready, body["missing"][0].partition(":")[0]) == (503, "engine")
    monkeypatch.undo()
    quoted = await home.openai.chat.completions.create(**ANSWER)
    assert (quoted.model_extra or {})["ragpod"]["degraded"] == ["engine: unavailable; the answer quotes the evidence"]
    assert "[1]" in str(quoted.choices[0].message.content)
    await vllm_engine.wait_ready(600)
    assert (await home.get("/ready"))[0] == 200
    answered = await home.openai.chat.completions.create(**ANSWER, max_tokens=4)
    assert (answered.model_extra or {})["ragpod"]["degraded"] == []
    await until(lambda: vllm_engine.restarts == 1, PATIENCE)


async def _read_until_the_end(home: House, begun: asyncio.Event) -> tuple[int, str]:
    text = ""
    async with home.http.post(home.url + CHAT, json={**ANSWER, "stream": True, "max_tokens": 3000}) as response:
        async for data in response.content.iter_any():
            text += data.decode()
            if text.count('"content":') > 3:
                begun.set()
        return response.status, text
