"""vLLM's command line, its environment, and what its log says of a start; no vLLM is needed here."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from models.base import Message, Prompt, Sampling
from models.engines.cards import Card
from models.engines.engine import Pace
from models.engines.process import ProcessEngine
from models.engines.vllm import VllmOptions, arguments, served_name, vllm
from models.engines.vllm_plan import plan
from models.engines.vllm_progress import progress
from models.errors import Overloaded, Unavailable
from tests.models.engines.test_vllm_plan import A100, FP8, H100, H200, L40S, RTX4090
from tests.processes import alive
from tests.until import until

PROMPT = Prompt((Message("user", "hi"),))
PATIENT = Pace(first=0.01, longest=0.02, poll=0.01, watch=0.05, misses=10_000)


def values(options: VllmOptions, *cards: Card) -> dict[str, str]:
    """Each option's value; "" for a switch."""
    command = vllm(options, cards).command
    following = [*command[1:], "--"]
    return {a: "" if b.startswith("--") else b for a, b in zip(command, following, strict=True) if a.startswith("--")}


@pytest.fixture
def executable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A `vllm` on PATH that only says what it was started with."""
    program = tmp_path / "vllm"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{tmp_path / 'fake.py'}' \"$@\"\n")
    program.chmod(0o755)
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return str(program)


@pytest.mark.usefixtures("executable")
def test_the_h100_gets_the_flags_of_a_shared_card() -> None:
    given = values(VllmOptions(), H100)
    assert given["--max-model-len"] == "16384"
    assert 29 < int(given["--kv-cache-memory-bytes"]) / 2**30 < 30
    assert given["--gpu-memory-utilization"] == "0.81"
    assert (given["--max-num-seqs"], given["--max-num-batched-tokens"]) == ("56", "8192")
    assert (given["--reasoning-parser"], given["--tool-call-parser"]) == ("qwen3", "hermes")
    assert json.loads(given["--default-chat-template-kwargs"]) == {"enable_thinking": False}
    assert given["--scheduling-policy"] == "priority"
    assert given["--max-num-queued-reqs"] == "224"
    assert "--enable-prompt-tokens-details" in given
    assert given["--served-model-name"] == "Qwen3-32B"
    assert not {"--tensor-parallel-size", "--kv-cache-dtype", "--api-key", "--host"} & set(given)


@pytest.mark.usefixtures("executable")
def test_cards_copies_and_ray_are_settings() -> None:
    two = values(VllmOptions(), RTX4090, RTX4090)
    assert (two["--tensor-parallel-size"], two["--kv-cache-dtype"]) == ("2", "fp8")
    copies = values(VllmOptions(data_parallel=2), H200, H200)
    assert copies["--data-parallel-size"] == "2"
    assert "--tensor-parallel-size" not in copies
    ray = values(VllmOptions(tensor_parallel=4, ray=True), L40S)
    assert (ray["--tensor-parallel-size"], ray["--distributed-executor-backend"]) == ("4", "ray")
    with pytest.raises(Unavailable, match=r"needs 4 cards \(here: 1\)"):
        vllm(VllmOptions(tensor_parallel=4), [A100])


@pytest.mark.usefixtures("executable")
def test_the_users_arguments_come_last_and_the_servers_own_are_refused() -> None:
    assert vllm(VllmOptions(arguments=("--max-num-seqs", "4")), [H100]).command[-2:] == ("--max-num-seqs", "4")
    for own in ("--api-key=x", "--host", "--port"):
        with pytest.raises(Unavailable, match="chosen by the server"):
            vllm(VllmOptions(arguments=(own,)), [H100])


def test_the_key_is_in_the_environment_and_never_on_the_command_line(executable: str) -> None:
    one, two = vllm(VllmOptions(), [H100]), vllm(VllmOptions(), [H100])
    assert one.api_key is not None
    assert one.env["VLLM_API_KEY"] == one.api_key != two.api_key
    assert one.api_key not in " ".join(one.command) + repr(one).replace(str(one.env), "")
    assert one.command[4:6] == (executable, "serve")


def test_a_python_serves_by_module_and_a_missing_program_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "vllm.entrypoints.openai.api_server" in vllm(VllmOptions(executable=sys.executable), [H100]).command
    with pytest.raises(Unavailable, match=r"engine\.vllm: no such program: /no/such"):
        vllm(VllmOptions(executable="/no/such"), [H100])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="vLLM is not installed"):
        vllm(VllmOptions(), [H100])


@pytest.mark.parametrize(("model", "name"), [(FP8, "Qwen3-32B"), ("/models/smol/", "smol"), ("a/b-7B", "b-7B")])
def test_a_checkpoint_is_served_under_a_plain_name(model: str, name: str) -> None:
    assert served_name(model) == name


def test_only_qwen3_is_told_of_thinking() -> None:
    given = arguments(plan((), model="/models/smol"), VllmOptions())
    assert "--reasoning-parser" not in given
    assert "--default-chat-template-kwargs" not in given


@pytest.mark.usefixtures("executable")
def test_auxiliary_work_stands_behind_answers_and_thinking_has_its_budget() -> None:
    fields = vllm(VllmOptions(), [H100]).traits.defaults
    assert "priority" not in fields(PROMPT, Sampling())
    assert fields(PROMPT, Sampling(auxiliary=True))["priority"] == 1
    thinking = fields(PROMPT, Sampling(max_tokens=2000, extra={"reasoning_effort": "high"}))
    assert (thinking["temperature"], thinking["thinking_token_budget"]) == (0.6, 1500)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("\rLoading safetensors checkpoint shards:  43% Completed | 3/7 [00:10<00:13, 3.4s/it]", "loading weights 43%"),
        ("(Worker pid=7) INFO [gpu_model_runner.py:5040] Starting to load model Qwen/Qwen3-32B...", "loading weights"),
        ("Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  45%|####  | 15/35", "capturing CUDA graphs 45%"),
        ("INFO [monitor.py:20] torch.compile took 31.02 s in total", "compiling"),
        ("INFO [kv_cache_utils.py:2327] GPU KV cache size: 119,913 tokens, Maximum", "cache made, warming up"),
        ("WARNING [vllm.py:1703] Enforce eager set, disabling torch.compile, CUDAGraphs", None),
        ("INFO [launcher.py:195] Route: /health, Methods: GET", None),
    ],
)
def test_log_lines_tell_how_far_a_start_is(line: str, words: str | None) -> None:
    assert progress(line) == words


# Behaves as vLLM's API server: an engine core in a session of its own that ignores SIGTERM, a bar without line ends.
FAKE = """
import http.server, json, os, pathlib, signal, sys, time
here = pathlib.Path(__file__).parent
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (here / "core.new").write_text(str(os.getpid()))
    (here / "core.new").rename(here / "core")
    time.sleep(600)
(here / "env").write_text(json.dumps(dict(os.environ)))
sys.stderr.write("ERROR ValueError: the root of it\\n\\rLoading safetensors checkpoint shards:  43% Completed")
sys.stderr.flush()
print("INFO to stdout: " + "x" * 100000, flush=True)
while not (here / "go").exists():
    time.sleep(0.02)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

host, port = sys.argv[-3], int(sys.argv[-1])
(here / "pid").write_text(str(os.getpid()))
http.server.HTTPServer((host, port), Handler).serve_forever()
"""


@pytest.mark.parametrize("ended_by", ["leaving", "kill"])
async def test_its_start_is_told_and_no_engine_core_outlives_it(
    executable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended_by: str
) -> None:
    monkeypatch.setenv("RAGPOD_API_KEYS", "not for vLLM")
    monkeypatch.setenv("PYTHONHOME", "")
    async with ProcessEngine(vllm(VllmOptions(model="/models/smol", requests=0)), pace=PATIENT) as engine:
        await until(lambda: engine.state.progress == "loading weights 43%", 30)
        await until((tmp_path / "core").exists, 30)
        core = int((tmp_path / "core").read_text())
        (tmp_path / "go").touch()
        await engine.wait_ready(30)
        assert engine.state.progress is None
        environment = json.loads((tmp_path / "env").read_text())
        assert environment["VLLM_API_KEY"]
        assert not {"RAGPOD_API_KEYS", "PYTHONHOME"} & set(environment)
        with pytest.raises(Overloaded):
            async with engine.generator.stream(PROMPT, Sampling()):
                pytest.fail("the context opened")
        if ended_by == "kill":
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
            await until(lambda: engine.restarts == 1, 30)
            assert "ValueError: the root of it" in str(engine.last_error)
            await engine.wait_ready(30)
            await until(lambda: not alive(core), 30)
            await until(lambda: int((tmp_path / "core").read_text()) != core, 30)
            core = int((tmp_path / "core").read_text())
    await until(lambda: not alive(core), 30)
    await asyncio.sleep(0)
