"""What a child process gets of the server's environment, read where the kernel keeps it."""

import sys
from pathlib import Path

import pytest

from models.engines.engine_process import EngineSpec, launch
from models.engines.vllm import _NEEDS

SECRETS = {
    "RAGPOD_API_KEYS": "ann:key-of-ann",
    "RAGPOD_API_KEY": "key-of-a-command",
    "RAGPOD_STORE_URL": "postgresql://user:password@host/db",
    "RAGPOD_ENGINE_API_KEY": "engine-key",
    "RUNPOD_API_KEY": "pod-key",
    "OPENAI_API_KEY": "openai-key",
    "AWS_SECRET_ACCESS_KEY": "bucket-key",
    "PGPASSWORD": "database-password",
    "SOMETHING_NEW": "unheard of",
}
SAYS_WHERE = "import json, sys, time; print(json.dumps({'url': 'http://x'}), flush=True); sys.stdin.read()"


def environment_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("needs", [(), _NEEDS], ids=["llama.cpp", "vLLM"])
async def test_a_child_gets_what_it_needs_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, needs: tuple[str, ...]
) -> None:
    for name, value in (SECRETS | {"CUDA_VISIBLE_DEVICES": "0", "LC_ALL": "C.UTF-8"}).items():
        monkeypatch.setenv(name, value)
    command = (sys.executable, "-c", SAYS_WHERE)
    async with launch(EngineSpec("m", command, env={"ITS_KEY": "own"}, needs=needs)) as child:
        await child.read_url()
        got = environment_of(child.pid)
    assert not set(SECRETS) & set(got)
    assert not set(SECRETS.values()) & set(got.values())
    assert {"PATH", "LC_ALL", "ITS_KEY"} <= set(got)
    assert ("CUDA_VISIBLE_DEVICES" in got) == bool(needs)
