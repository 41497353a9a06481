"""The watch over an engine, an OpenAI-compatible server: what /ready says of it, and its generator.

`async with engine` begins the watch and returns at once; `wait_ready` waits. While it is not ready its generator
raises Unavailable before sending anything. status: starting, ready, then restarting or down and ready again; absent
where none is installed; stopped at the end.
"""

import asyncio
import contextlib
import logging
import random
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Self

import aiohttp

from models.errors import Unavailable
from models.wire.openai_client import OpenAIClient

log = logging.getLogger("ragpod.engine")

Status = Literal["starting", "ready", "down", "restarting", "absent", "stopped"]
# By the metric names of llama.cpp and vLLM.
_RUNNING = re.compile(
    r"^(?:llamacpp:requests_(?:processing|deferred)|vllm:num_requests_(?:running|waiting))(?:\{.*?\})? (\S+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class EngineState:
    """What /ready and doctor say of an engine. url: None until it is known. progress: of its start, in a few words."""

    status: Status
    model: str
    url: str | None
    restarts: int
    last_error: str | None
    progress: str | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """When to look and when to try again; seconds. jitter: of a back-off, as a fraction added at random.

    misses: health checks failed in a row that make a running engine count as hung.
    steady: a run longer than this starts the back-off anew.
    """

    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.25
    poll: float = 0.05
    watch: float = 5.0
    answer: float = 10.0
    misses: int = 3
    steady: float = 60.0
    rng: random.Random = field(default_factory=random.Random)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic

    def delay(self, failures: int) -> float:
        """Before the next try, after `failures` >= 1 in a row."""
        delay = min(self.longest, self.first * self.factor ** min(failures - 1, 32))
        return delay * (1 + self.jitter * self.rng.random())


class Engine(ABC):
    """The watch itself; a subclass says what there is to watch."""

    def __init__(self, generator: OpenAIClient, pace: Pace) -> None:
        self.generator = generator
        self.status: Status = "stopped"
        self.restarts = 0
        self.last_error: str | None = None
        self.pace = pace
        self.known_url: str | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> EngineState:
        return EngineState(
            self.status, self.generator.name, self.known_url, self.restarts, self.last_error, self.progress
        )

    @property
    def progress(self) -> str | None:
        """How far a start is, for /ready: no addresses, no paths."""
        return None

    def check(self) -> None:
        """Raises Unavailable, in words for a caller, unless the engine is ready: why it is not is the operator's."""
        if self.status != "ready":
            raise Unavailable(f"the engine {self.generator.name} is {self.status}")

    async def wait_ready(self, seconds: float) -> None:
        """Raises Unavailable where the engine is not ready in time, with the reason."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.status not in ("ready", "absent", "stopped"):
                    await self._changed.wait()
        if self.status != "ready":
            reason = f": {self.last_error}" if self.last_error else ""
            raise Unavailable(f"the engine {self.generator.name} is {self.status}{reason}")

    async def running(self) -> int | None:
        """Requests that the engine works on now or holds in its queue; None where it does not tell."""
        status, body = await self.get(f"{self.generator.root}/metrics")
        counts = _RUNNING.findall(body) if status == 200 else []
        return round(sum(map(float, counts))) if counts else None

    async def __aenter__(self) -> Self:
        await self.generator.open()
        timeout = aiohttp.ClientTimeout(total=self.pace.answer)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=self.generator.headers)
        self.move("starting")
        self._task = asyncio.create_task(self._guarded(), name="engine")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self.move("stopped")
        await self._session.close()
        await self.generator.close()

    async def _guarded(self) -> None:
        try:
            await self._watch()
        except Exception as error:
            log.exception("the watch of the engine failed")
            self.move("down", f"the watch failed: {error!r}")

    @abstractmethod
    async def _watch(self) -> None:
        """Moves the status as the engine comes and goes, until it is cancelled."""

    def move(self, status: Status, error: str | None = None) -> None:
        self.last_error = error or self.last_error
        if status != self.status:
            message = f"engine {self.generator.name}: {status}" + (f" ({error})" if error else "")
            log.log(logging.WARNING if error else logging.INFO, message)
        self.status = status
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def get(self, url: str) -> tuple[int, str]:
        """Status and body; (0, reason) where nobody answers."""
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                return response.status, await response.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return 0, str(error) or type(error).__name__
