"""A place among the running answers: saying no early, before any model works."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.answering.failures import QueueFull, QueueTimeout


class Admission:
    """At most `answers` at once; `queue` more may wait `seconds` each, in order of arrival. what: is waited for."""

    def __init__(self, answers: int, queue: int, seconds: float, what: str = "answer") -> None:
        self._permits = asyncio.Semaphore(answers)
        self._queue, self._seconds, self._what = queue, seconds, what
        self.running = 0
        self.waiting = 0

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Raises QueueFull, and QueueTimeout where the wait was too long."""
        await self._permit()
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._permits.release()

    async def _permit(self) -> None:
        if self._permits.locked() and self.waiting >= self._queue:
            raise QueueFull(f"too many {self._what}s are waiting")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._permits.acquire()
        except TimeoutError:
            raise QueueTimeout(f"no {self._what} slot came free within {self._seconds:g} s") from None
        finally:
            self.waiting -= 1
