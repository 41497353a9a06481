"""The processes of the relay benchmark: the stub engine, our server, LiteLLM's proxy."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.relay.paced_engine import MODEL

LITELLM_START_SECONDS = 180.0
# It would fetch a list of prices and tell its maker of its use, and wants a key, which our server has none of here.
_SETTINGS = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOG": "ERROR",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}


@contextmanager
def process(*arguments: str, module: str = "benchmarks.relay", **settings: str) -> Iterator[tuple[int, str]]:
    """A benchmark as a child, ended with the context; gives its pid and the first line that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | settings)
    try:
        assert child.stdout is not None
        told = child.stdout.readline().strip()
        if not told:
            raise RuntimeError(f"{' '.join(arguments)}: ended at its start (exit code {child.wait(30)})")
        yield child.pid, told
    finally:
        child.terminate()
        child.wait(30)


@contextmanager
def litellm(command: str, engine: str, folder: Path) -> Iterator[tuple[int, str]]:
    """LiteLLM's proxy before the same engine; command: its `litellm`. Gives its pid and its URL."""
    config = folder / "litellm.json"  # JSON is YAML
    model = {"model": f"openai/{MODEL}", "api_base": f"{engine}/v1", "api_key": "none"}
    config.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": model}]}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = [command, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    with (folder / "litellm.log").open("w") as log:
        child = subprocess.Popen(given, stdout=log, stderr=log, env=os.environ | _SETTINGS)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(child, f"{url}/health/liveliness", log=folder / "litellm.log")
        yield child.pid, url
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()


def _wait(child: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + LITELLM_START_SECONDS
    while time.monotonic() < until and child.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"LiteLLM did not start:\n{log.read_text()[-3000:]}")
