"""A server as a process of its own, as `ragpod serve` runs it, over a scripted engine."""

import asyncio
import resource
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO

import aiohttp

from tests.server.cli.process import environment
from tests.stub_engine import StubEngine
from tests.until import PATIENCE

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
from server.app.run import serve
from server.settings.settings import Settings
sys.exit(serve(Settings.load(), lambda url: print(url, flush=True)))
"""


@asynccontextmanager
async def process(
    data_dir: Path,
    stub: StubEngine,
    settings: Mapping[str, str],
    stderr: IO[bytes] | None = None,
    descriptors: int | None = None,
    program: str = PROGRAM,
) -> AsyncIterator[tuple[Process, str]]:
    """Gives its URL. descriptors: its limit of open files, of which it may have no more."""
    limit = descriptors and partial(resource.setrlimit, resource.RLIMIT_NOFILE, (descriptors, descriptors))
    given = {"RAGPOD_DATA_DIR": str(data_dir), "RAGPOD_PORT": "0", "RAGPOD_ENGINE_URL": stub.url}
    given |= {"RAGPOD_RETRIEVAL_MIN_SCORE": "0", "RAGPOD_LIMITS_DRAIN_SECONDS": "120", **settings}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        cwd=ROOT,
        env=environment(**given),
        stdout=PIPE,
        stderr=stderr,
        preexec_fn=limit or None,
    )
    assert child.stdout is not None
    try:
        url = (await asyncio.wait_for(child.stdout.readline(), PATIENCE)).decode().strip()
        yield child, url
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def ready(client: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            async with client.get(f"{url}/ready") as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.02)


async def refuses(url: str) -> None:
    """Until nobody is let in any more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                async with aiohttp.ClientSession() as client, client.get(f"{url}/health"):
                    await asyncio.sleep(0.02)
            except aiohttp.ClientConnectionError:
                return
