"""The watch over engines: processes that end, hang or never serve, and engines at a URL."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from models.base import Message, Prompt, Sampling
from models.engines.connected import ConnectedEngine
from models.engines.engine import Pace
from models.engines.engine_process import EngineSpec
from models.engines.process import ProcessEngine
from models.errors import Unavailable
from tests.ports import reserved_port
from tests.processes import alive
from tests.stub_engine import StubEngine
from tests.until import PATIENCE, until

PROMPT = Prompt((Message("user", "hi"),))
QUICK = Pace(first=0.01, longest=0.02, poll=0.01, watch=0.02, answer=PATIENCE, misses=2)

# Serves /health: 200 as long as the file named by its argument is not there, then 503.
SERVER = """
import http.server, json, os, sys
from models.engines.lifeline import die_with_parent
die_with_parent()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if os.path.exists(sys.argv[1]) else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("not the line", flush=True)
print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)
server.serve_forever()
"""


def spec(code: str, *arguments: str, start_seconds: float = PATIENCE) -> EngineSpec:
    return EngineSpec("m", (sys.executable, "-c", code, *arguments), start_seconds=start_seconds)


async def test_a_process_that_ends_is_started_again_and_its_last_words_are_kept() -> None:
    code = "import sys; sys.exit('no such model file')"
    async with ProcessEngine(spec(code), pace=QUICK) as engine:
        await until(lambda: engine.restarts >= 2, PATIENCE)
        assert engine.status == "restarting"
        assert "exit status 1: no such model file" in str(engine.last_error)
        with pytest.raises(Unavailable, match="the engine m is restarting"):
            async with engine.generator.stream(PROMPT, Sampling()):
                pytest.fail("the context opened")
    assert engine.state.status == "stopped"


async def test_a_process_that_never_serves_is_started_again() -> None:
    code = "import time; print('starting', flush=True); time.sleep(600)"
    async with ProcessEngine(spec(code, start_seconds=0.2), pace=QUICK) as engine:
        await until(lambda: engine.restarts >= 1, PATIENCE)
        assert "did not serve within 0.2 s" in str(engine.last_error)


async def test_a_command_that_does_not_exist_says_so() -> None:
    async with ProcessEngine(EngineSpec("m", ("/no/such/engine",)), pace=QUICK) as engine:
        await until(lambda: engine.last_error is not None, PATIENCE)
        with pytest.raises(Unavailable, match="cannot be started"):
            await engine.wait_ready(0)


async def test_a_process_that_hangs_is_replaced_by_a_new_one(tmp_path: Path) -> None:
    hung = tmp_path / "hung"
    async with ProcessEngine(spec(SERVER, str(hung)), pace=QUICK) as engine:
        await engine.wait_ready(PATIENCE)
        first = engine.pid
        hung.touch()
        await until(lambda: engine.restarts == 1, PATIENCE)
        assert "missed 2 health checks" in str(engine.last_error)
        hung.unlink()
        await engine.wait_ready(PATIENCE)
        assert engine.pid not in (None, first)


async def test_leaving_while_it_starts_ends_the_process(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    async with ProcessEngine(spec(code, str(started)), pace=QUICK) as engine:
        await until(lambda: started.exists() and engine.pid is not None, PATIENCE)
        pid = engine.pid
    assert pid is not None
    assert not alive(pid)


async def test_waiting_for_an_engine_ends_when_it_is_ready() -> None:
    async with StubEngine() as stub, ConnectedEngine(stub.url, pace=QUICK) as engine:
        assert engine.status == "starting"
        await engine.wait_ready(PATIENCE)
        assert engine.state.url == stub.url
        async with engine.generator.stream(PROMPT, Sampling()) as deltas:
            assert [delta.text async for delta in deltas] == ["Hello", " world", ""]


async def test_a_connected_engine_takes_the_first_model_and_its_context() -> None:
    async with StubEngine(model="qwen3") as stub, ConnectedEngine(stub.root, pace=QUICK) as engine:
        await engine.wait_ready(PATIENCE)
        assert (engine.generator.name, engine.generator.context_tokens) == ("qwen3", 4096)


async def test_a_model_that_the_engine_does_not_have_is_named_with_those_it_has() -> None:
    async with StubEngine(model="qwen3") as stub, ConnectedEngine(stub.url, model="other", pace=QUICK) as engine:
        await until(lambda: engine.last_error is not None, PATIENCE)
        with pytest.raises(Unavailable, match="has no model other; it has: qwen3"):
            await engine.wait_ready(0)


async def test_a_connected_engine_that_goes_away_is_down_and_comes_back() -> None:
    with reserved_port() as port:
        async with StubEngine(port=port) as stub:
            engine = ConnectedEngine(stub.url, pace=QUICK)
            await engine.__aenter__()
            await engine.wait_ready(PATIENCE)
        await until(lambda: engine.status == "down", PATIENCE)
        assert "no OpenAI-compatible engine answers" in str(engine.last_error)
        with pytest.raises(Unavailable) as caught:
            engine.check()
        assert str(caught.value) == "the engine stub is down"
        async with StubEngine(port=port):
            await engine.wait_ready(PATIENCE)
            assert engine.restarts == 1
            await engine.__aexit__()
    assert engine.status == "stopped"


async def test_something_else_at_the_url_is_not_taken_for_an_engine() -> None:
    async with StubEngine() as stub, ConnectedEngine(f"{stub.root}/other/v1", pace=QUICK) as engine:
        await until(lambda: engine.last_error is not None, PATIENCE)
        with pytest.raises(Unavailable, match="HTTP 404"):
            await engine.wait_ready(0)


def test_back_off_grows_to_its_limit_and_is_spread() -> None:
    steady = Pace(first=1, factor=2, longest=5, jitter=0)
    assert [steady.delay(failures) for failures in (1, 2, 3, 4, 500)] == [1, 2, 4, 5, 5]
    spread = Pace(first=1, jitter=0.25, rng=random.Random(1))
    delays = {spread.delay(1) for _ in range(20)}
    assert len(delays) > 1
    assert all(1 <= delay <= 1.25 for delay in delays)


async def test_failures_in_a_row_wait_longer_and_a_steady_run_starts_anew() -> None:
    waited: list[float] = []
    clock = iter(range(0, 10**6, 5))
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 4:
            enough.set()
            await asyncio.Event().wait()

    pace = Pace(first=1, jitter=0, sleep=sleep, clock=lambda: next(clock), steady=12)
    async with ProcessEngine(spec("raise SystemExit(3)"), pace=pace):
        await asyncio.wait_for(enough.wait(), PATIENCE)
    assert waited == [1, 2, 4, 8]
    waited.clear()
    enough.clear()
    pace = Pace(first=1, jitter=0, sleep=sleep, clock=lambda: next(clock), steady=4)
    async with ProcessEngine(spec("raise SystemExit(3)"), pace=pace):
        await asyncio.wait_for(enough.wait(), PATIENCE)
    assert waited == [1, 1, 1, 1]
