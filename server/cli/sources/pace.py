"""How often a host is asked: one request at a time, and a pause before the next."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

LONGEST_DELAY = 30.0  # seconds; a Crawl-delay may say more, and a run must end


class Pace:
    """delay: seconds between the beginnings of two requests to one host, where its robots.txt asks for no more."""

    def __init__(
        self,
        delay: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._delay, self._now, self._sleep = delay, now, sleep
        self._next: dict[str, float] = {}
        self._lanes: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def lane(self, host: str) -> asyncio.Lock:
        """Held from before a document of the host is asked for until it has come."""
        return self._lanes[host]

    async def wait(self, host: str, asked: float = 0.0) -> None:
        """asked: the host's own delay. Callers take their turns in the order in which they come."""
        now = self._now()
        begins = max(now, self._next.get(host, now))
        self._next[host] = begins + min(max(self._delay, asked), LONGEST_DELAY)
        if begins > now:
            await self._sleep(begins - now)
