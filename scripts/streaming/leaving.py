"""Whether an engine is free again after a client has left, by a gauge of running answers that it tells Prometheus."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from streaming.results import Failed, NotAsked
from streaming.timing import Json

GAUGES = (
    "vllm:num_requests_running",
    "llamacpp:requests_processing",
    "sglang:num_running_reqs",
    "ragpod_answers_running",
)
BEGIN_SECONDS = 30.0
STORY = [{"role": "user", "content": "Write a very long story about a lighthouse keeper."}]


@dataclass(frozen=True, slots=True)
class Gauge:
    """http asks the engine, scraper reads the page at url. freed: seconds within which the gauge must have fallen."""

    http: aiohttp.ClientSession
    scraper: aiohttp.ClientSession
    url: str
    freed: float

    async def running(self) -> float:
        """Raises NotAsked where the page has none of the gauges."""
        async with self.scraper.get(self.url) as response:
            text = await response.text()
        for name in GAUGES:
            if values := re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)", text, re.MULTILINE):
                return sum(map(float, values))
        raise NotAsked(f"HTTP {response.status} without any of {', '.join(GAUGES)}")

    async def until(self, condition: Callable[[float], bool], seconds: float) -> float | None:
        """Seconds until the gauge was so; None where it never was."""
        begun = time.perf_counter()
        while (now := time.perf_counter() - begun) < seconds:
            if condition(await self.running()):
                return now
            await asyncio.sleep(0.02)
        return None

    async def falls(self, before: float) -> str:
        """After a client has left."""
        seconds = await self.until(lambda value: value <= before, self.freed)
        if seconds is None:
            raise Failed(f"{self.freed:g} s after the client has left, the answer still runs")
        return f"free {seconds * 1000:.0f} ms after the client had left"


async def leave_stream(gauge: Gauge, url: str, body: Json) -> str:
    """Leaves in the middle of a stream."""
    before = await gauge.running()
    async with gauge.http.post(url, json=body | {"stream": True}) as response:
        await response.content.readany()
        await gauge.until(lambda value: value > before or response.content.is_eof(), BEGIN_SECONDS)
        if response.content.is_eof():
            raise NotAsked(f"HTTP {response.status}, and the answer ended before it was seen running")
        response.close()
    return await gauge.falls(before)


async def leave_whole(gauge: Gauge, url: str, body: Json) -> str:
    """Leaves while an answer that is not streamed is being made."""
    before = await gauge.running()

    async def ask() -> None:
        async with gauge.http.post(url, json=body) as response:
            await response.read()

    asking = asyncio.create_task(ask())
    try:
        await gauge.until(lambda value: value > before or asking.done(), BEGIN_SECONDS)
        if asking.done():
            raise NotAsked("the answer ended before it was seen running")
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    return await gauge.falls(before)
