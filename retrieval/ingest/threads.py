"""Threads for what blocks: the event loop never waits for disk or a parser."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """Of their own: what else runs in threads need not wait behind an ingest."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="ingest")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: _called(function, *args, **kwargs))

    async def aclose(self) -> None:
        """Waits for what is running; what has not begun does not begin."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)


def _called(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return function(*args, **kwargs)
    except (StopIteration, GeneratorExit) as error:
        # A future refuses the one, so that who awaits it would wait for ever; the other is a coroutine's own end.
        raise RuntimeError(f"{type(error).__name__} out of a thread") from error
