"""The same application under other HTTP servers: uvicorn as `ragpod serve` has it (its own protocol class), uvicorn as
it comes, granian and hypercorn. One process each, on uvloop, asked in turns.

    python -m benchmarks.relay.servers [--streams 1,16,64] [--chunks 100] [--rate 50] [--rounds 3]

granian and hypercorn are no dependencies: an environment that has them beside ragpod's own (`pip install granian
hypercorn`); what is not installed is left out. The route is our relay of the engine's own model.
"""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import uvloop
from fastapi import FastAPI

from benchmarks.harness import note, options, report
from benchmarks.relay.__main__ import middle_of
from benchmarks.relay.load import Row, Target, measure
from benchmarks.relay.paced_engine import MODEL
from benchmarks.relay.processes import process
from models.packages import missing

APP = "benchmarks.relay.servers:asgi"
COMMANDS: dict[str, list[str]] = {
    "uvicorn": ["uvicorn", APP, "--factory", "--http", "httptools", "--loop", "uvloop", "--no-access-log", "--port"],
    "granian": ["granian", APP, "--factory", "--interface", "asgi", "--loop", "uvloop", "--workers", "1", "--port"],
    "hypercorn": ["hypercorn", f"{APP}()", "--worker-class", "uvloop", "--workers", "1", "--bind"],
}
START_SECONDS = 180.0


def asgi() -> FastAPI:
    """With the environment's settings; its parts are opened with the server."""
    from server.app.app import create_app
    from server.settings.settings import Settings

    return create_app(Settings.load(log_level="warning"))


@contextmanager
def served(name: str, settings: dict[str, str], log: Path) -> Iterator[tuple[int, str]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    *arguments, last = COMMANDS[name]
    place = f"127.0.0.1:{port}" if last == "--bind" else str(port)
    command = [sys.executable, "-m", *arguments, last, place]
    with log.open("w") as file:
        child = subprocess.Popen(command, stdout=file, stderr=file, env=settings)
    try:
        yield child.pid, f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()


async def up(url: str) -> None:
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.2)


async def compare(targets: Sequence[Target], given: argparse.Namespace) -> list[Row]:
    for target in targets:
        await up(target.url)
    results: list[Row] = []
    for streams in (int(count) for count in given.streams.split(",")):
        rows: dict[str, list[Row]] = {target.path: [] for target in targets}
        for _ in range(given.rounds):
            for target in targets:
                rows[target.path].append(await measure(target, streams, given.chunks, 0.0))
                note(rows[target.path][-1])
        results += map(middle_of, rows.values())
    return results


def run(given: argparse.Namespace) -> list[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        _, port = stack.enter_context(process("--role", "engine", "--rate", str(given.rate)))
        shared = {
            "RAGPOD_ENGINE_URL": f"http://127.0.0.1:{port}/v1",
            "RAGPOD_ENGINE_MODEL": MODEL,
            "RAGPOD_LIMITS_ANSWERS": str(max(int(count) for count in given.streams.split(","))),
            "PYTHONPATH": str(Path.cwd()),
        }
        ours = {**shared, "RAGPOD_PORT": "0", "RAGPOD_DATA_DIR": str(folder / "ours")}
        pid, url = stack.enter_context(process("--role", "server", **ours))
        targets = [Target("ours", url, MODEL, pid)]
        for name in COMMANDS:
            if missing(name) is None:
                settings = {**os.environ, **shared, "RAGPOD_DATA_DIR": str(folder / name)}
                pid, url = stack.enter_context(served(name, settings, folder / f"{name}.log"))
                targets.append(Target(name, url, MODEL, pid))
        return uvloop.run(compare(targets, given))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--streams", default="1,16,64")
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    report("relay servers", given, run(given))


if __name__ == "__main__":
    main()
