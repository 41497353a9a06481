"""Work that can be ended from outside, at any await: by the client leaving, by a stop call, by shutdown, by time.

An answer runs in a task of its own and never waits for its reader (its length is bounded by max_tokens), so a
cancellation always meets it inside its own awaits, and a slow reader never holds the engine.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, Literal, TypeVar

from models.errors import Timeout

T = TypeVar("T")
Reason = Literal["disconnected", "stopped", "shutdown"]


class Running(Generic[T]):
    """One piece of work. What `last` gives is delivered as its final item where it was cancelled."""

    def __init__(self, items: AsyncIterator[T], last: Callable[[], T] | None = None) -> None:
        self.reason: Reason | None = None
        self._items: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._last = last
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._task = self._loop.create_task(self._produce(items))
        self._task.add_done_callback(self._end)

    async def next(self, within: float) -> list[T] | None:
        """All items that are ready; [] where none came `within` seconds; None after the last one.

        Raises what the work raised.
        """
        if not self._items and not self._ended:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(within, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        if self._items:
            items = list(self._items)
            self._items.clear()
            return items
        if not self._ended:
            return []
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error
        return None

    def cancel(self, reason: Reason) -> None:
        """The work ends at its current await; only the first reason counts."""
        if self.reason is None and not self._task.done():
            self.reason = reason
            self._task.cancel()

    async def close(self) -> None:
        """Until it has ended, cancelled where it still runs."""
        self.cancel("disconnected")
        await asyncio.wait([self._task])

    def on_end(self, callback: Callable[[], None]) -> None:
        self._task.add_done_callback(lambda _: callback())

    async def _produce(self, items: AsyncIterator[T]) -> None:
        async for item in items:
            self._items.append(item)
            self._wake()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._ended = True
        try:
            if task.cancelled() and self._last is not None:
                self._items.append(self._last())
        finally:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[asyncio.Timeout]:
    """Raises models.errors.Timeout, which says what took too long."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError:
        if not limit.expired():
            raise
        raise Timeout(f"{what} took longer than {seconds:g} s") from None
