"""Work that can be ended from outside, at any await: by the client leaving, by a stop call, by shutdown.

An answer runs in a task of its own and never waits for its reader (its length is bounded by max_tokens), so a
cancellation always meets it inside its own awaits, and a slow reader never holds the engine.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, Literal, TypeVar

from starlette.types import Receive

T = TypeVar("T")
Reason = Literal["disconnected", "stopped", "shutdown"]


class Running(Generic[T]):
    """One piece of work. `last` is delivered as its final item where it was cancelled."""

    def __init__(self, items: AsyncIterator[T], last: T | None = None) -> None:
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
        if task.cancelled() and self._last is not None:
            self._items.append(self._last)
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class RunningAnswers:
    """What runs now, by owner and trace id."""

    def __init__(self, on_cancel: Callable[[Reason], None] = lambda _: None) -> None:
        self._running: dict[tuple[str, str], Running[object]] = {}
        self._on_cancel = on_cancel

    def __len__(self) -> int:
        return len(self._running)

    def start(self, owner: str, trace_id: str, items: AsyncIterator[T], last: T | None = None) -> Running[T]:
        running = Running(items, last)
        self._running[owner, trace_id] = running  # type: ignore[assignment]  # only cancelled from here
        running.on_end(lambda: self._ended(owner, trace_id))
        return running

    def ids(self) -> list[tuple[str, str]]:
        return list(self._running)

    def stop(self, owner: str, trace_id: str) -> bool:
        """False where no such answer of this owner runs."""
        running = self._running.get((owner, trace_id))
        if running is None:
            return False
        running.cancel("stopped")
        return True

    async def close(self) -> None:
        for running in list(self._running.values()):
            running.cancel("shutdown")
            await running.close()

    def _ended(self, owner: str, trace_id: str) -> None:
        reason = self._running.pop((owner, trace_id)).reason
        if reason is not None:
            self._on_cancel(reason)


@contextlib.asynccontextmanager
async def cancelled_on_disconnect(running: Running[T], receive: Receive) -> AsyncIterator[None]:
    """While inside, http.disconnect cancels `running`; after it, `running` has ended in any case.

    The body must have been read. Waiting on receive() notices a client that leaves while nothing is sent.
    """

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        running.cancel("disconnected")

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        await running.close()
        await asyncio.wait([watcher])
