"""One engine process: how it is started, what it says, how it ends."""

import asyncio
import contextlib
import os
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from models.errors import Unavailable
from models.wire.engine_traits import EngineTraits

_LOG_LINES = 200
_LINE_CHARACTERS = 4000
_LAST_WORDS_SECONDS = 1.0
# The first is the root cause; what follows repeats it.
_CAUSE = re.compile(r"(?:^|\s)((?:\w+\.)*\w*(?:Error|Exception): \S.*)")
_LINE_ENDS = re.compile(rb"[\r\n]+")  # a progress bar ends its line with a carriage return


# All that a child gets of this process's environment: names, and beginnings of names. Keys and passwords are in others.
_NEEDED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP"}
    | {"LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
)
_NEEDED_PREFIXES = ("LC_", "OMP_", "OPENBLAS_", "MKL_")


def no_progress(line: str) -> None:
    """Of an engine that starts too fast to tell."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Everything that tells one engine process from another.

    command: must end with its parent (models.engines.lifeline). env: added to what every child gets of ours
    (child_environment). needs: beginnings of further names that it gets of ours.
    url: the base URL with /v1; None: the process prints one JSON line {"url": root} on stdout.
    health: path under the root that answers 200 once it serves.
    progress: a line of its log as a few words on how far its start is; None: the line says nothing of it.
    traits, capacity, languages, context_tokens: as of OpenAIClient and Generator.
    """

    model: str
    command: tuple[str, ...]
    url: str | None = None
    health: str = "/health"
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    start_seconds: float = 60.0
    stop_seconds: float = 5.0
    progress: Callable[[str], str | None] = no_progress
    traits: EngineTraits = field(default_factory=EngineTraits)
    capacity: int | None = None
    languages: frozenset[str] = frozenset()
    context_tokens: int = 4096


def child_environment(needs: tuple[str, ...] = ()) -> dict[str, str]:
    """Of this process's environment what a child needs, by name: none of the server's keys and passwords."""
    prefixes = _NEEDED_PREFIXES + needs
    return {name: value for name, value in os.environ.items() if name in _NEEDED or name.startswith(prefixes)}


class EngineProcess:
    """A running engine; `log` holds its last lines on stderr, `progress` how far its start is, in words."""

    def __init__(self, process: Process, spec: EngineSpec) -> None:
        self.process = process
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self.progress: str | None = None
        self._told = spec.progress
        self.drained = asyncio.create_task(self._drain())

    @property
    def pid(self) -> int:
        return self.process.pid

    async def exit(self) -> str:
        """Waits for the end of the process, and says in words how it ended."""
        code = await self.process.wait()
        await asyncio.wait([self.drained], timeout=_LAST_WORDS_SECONDS)
        how = f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        causes = (found[1] for line in self.log if (found := _CAUSE.search(line)))
        last = next(causes, self.log[-1] if self.log else "")
        return f"the engine process ended with {how}" + (f": {last}" if last else "")

    async def read_url(self) -> str:
        """The root URL that it prints. Raises Unavailable where it ends without printing one."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            with contextlib.suppress(orjson.JSONDecodeError, TypeError, KeyError):
                return str(orjson.loads(line)["url"])
        raise Unavailable(await self.exit())

    async def _drain(self) -> None:
        """Reads stderr so that the process never blocks on it."""
        assert self.process.stderr is not None
        rest = b""
        while chunk := await self.process.stderr.read(1 << 16):
            *lines, rest = _LINE_ENDS.split(rest + chunk)
            for line in lines:
                self._note(line)
            rest = rest[:_LINE_CHARACTERS]
        self._note(rest)

    def _note(self, line: bytes) -> None:
        text = line[:_LINE_CHARACTERS].decode(errors="replace").rstrip()
        if text:
            self.log.append(text)
            self.progress = self._told(text) or self.progress


@asynccontextmanager
async def launch(spec: EngineSpec) -> AsyncIterator[EngineProcess]:
    """Starts the process in a group of its own; leaving ends the group: SIGTERM, then SIGKILL after stop_seconds.

    Raises Unavailable where the command cannot be started.
    """
    out = PIPE if spec.url is None else DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *spec.command,
            stdin=PIPE,
            stdout=out,
            stderr=PIPE,
            env=child_environment(spec.needs) | dict(spec.env),
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"the engine process cannot be started: {error}") from error
    engine = EngineProcess(process, spec)
    try:
        yield engine
    finally:
        await asyncio.shield(_end(process, spec.stop_seconds))
        engine.drained.cancel()
        await asyncio.wait([engine.drained])


async def _end(process: Process, seconds: float) -> None:
    for signum in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signum)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what it left behind
    if process.stdin is not None:
        process.stdin.close()
