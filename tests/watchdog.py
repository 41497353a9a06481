"""Who holds an event loop up: every callback of asyncio's own loop, by the CPU time of its thread.

CPU and not wall clock, so that a busy machine accuses nobody; what waits in a callback (`time.sleep`, a lock) is not
seen. Collections of garbage are left out: a test's process has far more to go through, and a server freezes what it
begins with.
"""

import asyncio
import gc
import inspect
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOST_SECONDS = 0.05
_OUR_OWN = ("/tests/", "/pytest_asyncio/", "/_pytest/")
# What is known to take longer, by a part of its name, and why it may.
KNOWN: dict[str, str] = {}


class Watchdog:
    """found: a line for each callback that took longer than `most` seconds, but for those of tests and fixtures."""

    def __init__(self, most: float = MOST_SECONDS) -> None:
        self.found: list[str] = []
        self._most = most
        self._collecting = 0.0
        self._collected = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        run = asyncio.Handle._run

        def watched(handle: asyncio.Handle) -> None:
            self._collected, since = 0.0, time.thread_time()
            run(handle)
            seconds = time.thread_time() - since - self._collected
            if seconds > self._most:
                self._tell(handle, seconds)

        asyncio.Handle._run = watched  # type: ignore[method-assign]
        gc.callbacks.append(self._collection)
        try:
            yield
        finally:
            gc.callbacks.remove(self._collection)
            asyncio.Handle._run = run  # type: ignore[method-assign]

    def _collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += max(0.0, time.thread_time() - self._collecting)

    def _tell(self, handle: asyncio.Handle, seconds: float) -> None:
        name, file = _named(handle._callback)  # type: ignore[attr-defined]
        if not any(part in file for part in _OUR_OWN) and not any(known in name for known in KNOWN):
            self.found.append(f"{seconds * 1000:.0f} ms of CPU on the event loop: {name}")


def _named(callback: Any) -> tuple[str, str]:
    """A callback's name, and the file that it begins in. Of a task's step: the coroutine, and where it waits now."""
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        coroutine: Any = owner.get_coro()
        return f"{coroutine.__qualname__} ({_place(coroutine)})", _file(coroutine)
    while hasattr(callback, "func"):
        callback = callback.func
    name = getattr(callback, "__qualname__", repr(callback))
    code = getattr(inspect.unwrap(callback), "__code__", None) if callable(callback) else None
    return f"{name} of {type(owner).__name__}" if owner is not None else name, code.co_filename if code else ""


def _file(coroutine: Coroutine[Any, Any, Any]) -> str:
    code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
    return code.co_filename if code else ""


def _place(coroutine: Any) -> str:
    """The innermost line that a coroutine waits in; "ended" after its last step."""
    place = "ended"
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is not None:
            place = f"waits in {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
    return place
