"""Threads for what blocks: the event loop never waits for disk, a lock or a parser.

Each kind of waiting has threads of its own, so that none holds up another: the store's reads and writes
(retrieval/store/store.py), the opening of indexes (retrieval/indexes/manager.py), ingest, the upkeep. In the loop's
own pool, asyncio.to_thread, is only what computes: legs, rerank stages, models. While all of it was there, eight
uploads behind a write of 3 s stopped everything.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """At most `count`, started when they are needed; what comes meanwhile waits in its order."""

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._guard = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._unfinished = 0

    @property
    def unfinished(self) -> int:
        """Calls that run or wait."""
        return self._unfinished

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns or raises. One that runs is not stopped where its caller is cancelled."""
        with self._guard:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._count, thread_name_prefix=self._name)
            pool = self._pool
        self._unfinished += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, lambda: _called(function, *args, **kwargs))
        finally:
            self._unfinished -= 1

    def close(self, *, waiting: bool = True) -> None:
        """Returns when what runs is done; what waits is done too, or does not begin. More may be run afterwards."""
        with self._guard:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=not waiting)

    async def aclose(self) -> None:
        """What has not begun does not begin."""
        await asyncio.to_thread(self.close, waiting=False)


def _called(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return function(*args, **kwargs)
    except (StopIteration, GeneratorExit) as error:
        # A future refuses the one, so that who awaits it would wait for ever; the other is a coroutine's own end.
        raise RuntimeError(f"{type(error).__name__} out of a thread") from error
