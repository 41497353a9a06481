"""A Qwen3-Reranker on a real vLLM, started as docs/reranker.md says, behind the reranker by URL."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from models.errors import BadRequest, Unavailable
from models.rerankers.remote_reranker import RemoteReranker
from tests.ports import reserved_port
from tests.server.conftest import VLLM_START_SECONDS
from tests.until import PATIENCE, until

pytestmark = [pytest.mark.vllm, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "scripts" / "qwen3_reranker.jinja"
QUERY = "환불은 언제 되나요? When is money returned?"
DOCUMENTS = [
    "환불은 신청 후 3영업일 안에 처리됩니다.",
    "A context manager wraps a block. " * 20,
    "짧은",
    "Notion에 회의록을 저장합니다.\n두 번째 줄",
]
CLASSIFIER = {
    "architectures": ["Qwen3ForSequenceClassification"],
    "classifier_from_token": ["no", "yes"],
    "is_original_qwen3_reranker": True,
}


@dataclass(frozen=True)
class Served:
    url: str
    logits: list[float]  # by transformers


def checkpoint(python: Path, folder: Path) -> list[float]:
    tokenizer = python.parents[1] / "qwen3-smollm2"
    command = [python, ROOT / "tests" / "qwen3_reranker.py", tokenizer, TEMPLATE, folder]
    asked = json.dumps({"query": QUERY, "documents": DOCUMENTS})
    made = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=VLLM_START_SECONDS, check=False)
    assert made.returncode == 0, made.stderr
    return [float(logit) for logit in json.loads(made.stdout.splitlines()[-1])]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(vllm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    scratch = tmp_path_factory.mktemp("reranker")
    logits = await asyncio.to_thread(checkpoint, vllm_python, scratch / "model")
    log = scratch / "vllm.log"
    with reserved_port() as port, log.open("wb") as output:
        command = [str(vllm_python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(scratch / "model")]
        command += ["--served-model-name", "qwen3-reranker", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--runner", "pooling", "--dtype", "float32", "--max-model-len", "2048", "--enforce-eager"]
        command += ["--chat-template", str(TEMPLATE), "--hf-overrides", json.dumps(CLASSIFIER), "--api-key", "sesame"]
        process = subprocess.Popen(  # noqa: ASYNC220
            command,
            stdout=output,
            stderr=output,
            env={**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"},
            start_new_session=True,
        )
        try:
            async with aiohttp.ClientSession() as http:

                async def healthy() -> bool:
                    assert process.poll() is None, log.read_text(errors="replace")[-4000:]
                    try:
                        async with http.get(f"http://127.0.0.1:{port}/health") as response:
                            return response.status == 200
                    except aiohttp.ClientError:
                        return False

                await until(healthy, VLLM_START_SECONDS)
            yield Served(f"http://127.0.0.1:{port}", logits)
        finally:
            signal_all(process, signal.SIGTERM)
            try:
                await asyncio.to_thread(process.wait, PATIENCE)
            finally:
                signal_all(process, signal.SIGKILL)


def signal_all(process: subprocess.Popen[bytes], number: int) -> None:
    """To what it started as well: a server that dies at its start may leave its engine behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def test_its_logits_are_those_of_yes_against_no_after_the_prompt(served: Served) -> None:
    reranker = RemoteReranker(served.url, "sesame", timeout_seconds=PATIENCE)
    assert await reranker.score(QUERY, DOCUMENTS) == pytest.approx(served.logits, abs=1e-3)
    assert reranker.name == "qwen3-reranker"
    await reranker.aclose()


async def test_what_it_refuses_says_why(served: Served) -> None:
    reranker = RemoteReranker(served.url, "sesame", timeout_seconds=PATIENCE)
    with pytest.raises(BadRequest, match="maximum context length is 2048 tokens"):
        await reranker.score(QUERY, ["word " * 9000])
    await reranker.aclose()
    stranger = RemoteReranker(served.url, "wrong", model="qwen3-reranker", timeout_seconds=PATIENCE)
    with pytest.raises(Unavailable, match="HTTP 401"):
        await stranger.score(QUERY, DOCUMENTS)
    await stranger.aclose()
