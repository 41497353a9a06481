"""vLLM as a child of a benchmark: started as the server starts it, awaited, and ended with all its workers."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

START_SECONDS = 420.0
_CPU_CACHE = {"VLLM_CPU_KVCACHE_SPACE": "1"}
_QUIET = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_COLOR": "0", "VLLM_LOGGING_STREAM": "ext://sys.stderr"}


@dataclass(slots=True)
class Engine:
    """log: every line that it has said. seconds: from the start until it was ready."""

    url: str
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)


@contextmanager
def serving(command: Sequence[str]) -> Iterator[Engine]:
    """command: without an address. Raises RuntimeError with the end of its log where it does not start."""
    path = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "models.engines.vllm_child", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**_CPU_CACHE, **os.environ, **_QUIET, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        assert child.stdout is not None
        since = time.perf_counter()
        engine = Engine(json.loads(child.stdout.readline())["url"])
        reader = threading.Thread(target=_read, args=(child, engine.log), daemon=True)
        reader.start()
        _wait(child, engine, since + START_SECONDS)
        engine.seconds = time.perf_counter() - since
        yield engine
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()


def _read(child: "subprocess.Popen[str]", log: list[str]) -> None:
    assert child.stderr is not None
    log.extend(line.rstrip() for line in child.stderr)


def _wait(child: "subprocess.Popen[str]", engine: Engine, until: float) -> None:
    while time.perf_counter() < until:
        try:
            with urllib.request.urlopen(f"{engine.url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        if child.poll() is not None:
            raise RuntimeError("vLLM ended while it started:\n" + "\n".join(engine.log[-60:]))
        time.sleep(0.2)
    raise RuntimeError(f"vLLM was not ready after {START_SECONDS:.0f} s:\n" + "\n".join(engine.log[-60:]))
