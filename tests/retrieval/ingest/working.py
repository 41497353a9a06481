"""Ingestors in processes of their own (working_child.py)."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.until import PATIENCE, until

ROOT = Path(__file__).resolve().parents[3]


@dataclass(slots=True)
class Working:
    process: Process
    said: list[str] = field(default_factory=list)

    async def until_said(self, beginning: str) -> None:
        await until(lambda: any(line.startswith(beginning) for line in self.said), PATIENCE)

    @property
    def embedded(self) -> list[str]:
        return [line.removeprefix("embedded ") for line in self.said if line.startswith("embedded ")]

    async def kill(self) -> None:
        """By kill -9."""
        self.process.kill()
        await self.process.wait()

    async def end(self) -> None:
        """As on SIGTERM: what it is at is given back."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            await self.process.wait()


@asynccontextmanager
async def working(data_dir: Path, url: str, lease: float = 60.0) -> AsyncIterator[Working]:
    """It works when this is entered, and ends with it."""
    program = ["-m", "tests.retrieval.ingest.working_child", str(data_dir), url, str(lease)]
    process = await asyncio.create_subprocess_exec(sys.executable, *program, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    started = Working(process)
    listening = asyncio.create_task(_listen(started))
    try:
        await started.until_said("working")
        yield started
    finally:
        await started.end()
        await listening


async def _listen(started: Working) -> None:
    assert started.process.stdout is not None
    async for line in started.process.stdout:
        started.said.append(line.decode().rstrip("\n"))
