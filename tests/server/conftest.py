import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn.server

from models.embedders.e5 import E5Embedder
from models.engines.process import ProcessEngine
from models.engines.vllm import VllmOptions, vllm
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import ENGLISH, KOREAN, House, house
from tests.watchdog import Watchdog

VLLM_START_SECONDS = 600.0
# The engine's own limit as tight as the server's: what it refuses, and how, is seen.
# Prompts in short steps: none is stopped within one, and 2,048 tokens are a minute where the CPU has no bf16.
VLLM_ARGUMENTS = ("--enforce-eager", "--max-num-queued-reqs", "2", "--max-num-batched-tokens", "256")


@pytest.fixture(scope="session", autouse=True)
def prompt_uvicorn() -> Iterator[None]:
    """uvicorn looks ten times a second whether to end, and then waits a tenth for its connections: 0.15 s a house."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uvicorn.server, "asyncio", Hurried())
        yield


@pytest.fixture(scope="session")
def watchdog() -> Iterator[Watchdog]:
    watching = Watchdog()
    with watching.watching():
        yield watching


@pytest.fixture(autouse=True)
def nothing_holds_the_loop_up(watchdog: Watchdog) -> Iterator[None]:
    """No callback of the server may take 50 ms of CPU: every other stream waits for it."""
    watchdog.found.clear()
    yield
    if watchdog.found:
        pytest.fail("\n".join(watchdog.found), pytrace=False)


class Hurried:
    """asyncio, where a sleep is a twentieth as long."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 20)


@pytest.fixture(scope="session")
def embedder() -> Iterator[E5Embedder]:
    loaded = E5Embedder.load(threads=1)
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.load()


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory, embedder: E5Embedder, tokenizer: Tokenizer) -> Path:
    """A data directory with the default store (Korean) and the store `python` (English)."""
    data_dir = tmp_path_factory.mktemp("furnished") / "data"

    async def furnish() -> None:
        async with house(data_dir, embedder, tokenizer) as opened:
            await opened.ingest("default", KOREAN)
            await opened.ingest("python", ENGLISH)

    asyncio.run(furnish())
    return data_dir


@pytest.fixture
def data_dir(furnished: Path, tmp_path: Path) -> Path:
    """A copy of its own for each test."""
    return Path(shutil.copytree(furnished, tmp_path / "data"))


@pytest.fixture
def home(request: pytest.FixtureRequest) -> House:
    """Of the test, or with `@pytest.mark.house("module")` that of its module; the nearest mark counts."""
    mark = request.node.get_closest_marker("house")
    opened: House = request.getfixturevalue(f"{mark.args[0] if mark else 'test'}_house")
    opened.stub.reset()
    return opened


@pytest.fixture
async def test_house(data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> AsyncIterator[House]:
    async with house(data_dir, embedder, tokenizer) as opened:
        yield opened


@pytest.fixture(scope="module")
async def module_house(
    furnished: Path, tmp_path_factory: pytest.TempPathFactory, embedder: E5Embedder, tokenizer: Tokenizer
) -> AsyncIterator[House]:
    copy = Path(shutil.copytree(furnished, tmp_path_factory.mktemp("house") / "data"))
    async with house(copy, embedder, tokenizer) as opened:
        yield opened


@pytest.fixture(scope="session")
def vllm_python() -> Path:
    """The Python of vLLM's own environment; beside it the checkpoint that scripts/qwen3_smollm2.py makes."""
    if not (given := os.environ.get("RAGPOD_VLLM")):
        pytest.skip("needs a vLLM for the CPU: make test-vllm")
    return Path(given)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def vllm_engine(vllm_python: Path) -> AsyncIterator[ProcessEngine]:
    """One vLLM for the whole run, as the pod starts it, with room for two answers at once."""
    model = vllm_python.parents[1] / "qwen3-smollm2"
    options = VllmOptions(str(model), str(vllm_python), context_tokens=4096, requests=2, arguments=VLLM_ARGUMENTS)
    spec = vllm(options, [])
    async with ProcessEngine(replace(spec, env={**spec.env, "VLLM_CPU_KVCACHE_SPACE": "1"})) as engine:
        await engine.wait_ready(VLLM_START_SECONDS)
        yield engine
