"""Many streams at once from one chat route: when each one's first word came, whether all came whole, what it cost."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import aiohttp

from benchmarks.harness import quantile
from benchmarks.relay.paced_engine import text_of
from models.wire.sse import SseParser

QUESTION = "How long does delivery take?"
SHORT = 10  # chunks of a short stream


@dataclass(frozen=True, slots=True)
class Target:
    """pid: of the server between, where there is one; its children count too. chunks: fewer for a slow one."""

    path: str
    url: str
    model: str
    pid: int | None = None
    chunks: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Of one path and one number of streams.

    begin: all at once, or evenly over half a stream's length, so that each meets the others on their way. chunks_s: of
    the engine, relayed by all streams together. first: milliseconds to the first word. rest_p50: the same without the
    search, as the server itself timed it. cpu: of the server's processes.
    """

    path: str
    streams: int
    begin: str
    chunks_s: float
    first_p50: float
    first_p99: float
    search_p50: float | None
    rest_p50: float
    cpu_us_chunk: float | None
    cpu_ms_request: float | None
    errors: int


@dataclass(slots=True)
class Stream:
    first_ms: float = 0.0
    search_ms: float = 0.0
    whole: bool = False
    received: list[bytes] = field(default_factory=list)

    def read(self, chunks: int) -> None:
        """After the clock has stopped: the text, the end, the server's own time of the search."""
        events = SseParser().feed(b"".join(self.received))
        self.received.clear()
        ended = bool(events) and events.pop() == b"[DONE]"
        answers = [json.loads(event) for event in events]
        choices = [choice for answer in answers for choice in answer.get("choices") or ()]
        text = "".join(choice["delta"].get("content") or "" for choice in choices)
        self.whole = ended and text == text_of(chunks)
        timings = [answer["ragpod"]["timings_ms"] for answer in answers if answer.get("ragpod")]
        self.search_ms = timings[-1].get("search", 0.0) if timings else 0.0


@dataclass(frozen=True, slots=True)
class Run:
    streams: list[Stream]
    chunks: int
    seconds: float
    cpu: float


async def measure(target: Target, streams: int, chunks: int, spread: float = 0.0) -> Row:
    """spread: seconds over which the streams begin.

    Warmed up; a chunk's CPU is what long streams cost more than short ones, a request's is what is left.
    """
    chunks = min(chunks, target.chunks or chunks)
    connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=600)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
        await _run(session, target, streams, SHORT)
        short = await _run(session, target, streams, SHORT, spread)
        long = await _run(session, target, streams, chunks, spread)
    firsts = [stream.first_ms for stream in long.streams]
    rests = [stream.first_ms - stream.search_ms for stream in long.streams]
    searches = [stream.search_ms for stream in long.streams if stream.search_ms]
    per_chunk = (long.cpu - short.cpu) / max(long.chunks - short.chunks, 1)
    return Row(
        target.path,
        streams,
        f"over {spread:g} s" if spread else "at once",
        round(long.chunks / long.seconds, 1),
        round(median(firsts), 1),
        round(quantile(firsts, 0.99), 1),
        round(median(searches), 1) if searches else None,
        round(median(rests), 1),
        round(per_chunk * 1e6, 1) if target.pid else None,
        round((short.cpu - per_chunk * short.chunks) / streams * 1e3, 2) if target.pid else None,
        sum(not stream.whole for stream in long.streams),
    )


async def _run(session: aiohttp.ClientSession, target: Target, streams: int, chunks: int, spread: float = 0.0) -> Run:
    cpu, begun = cpu_seconds(target.pid), time.perf_counter()
    later = [spread * number / streams for number in range(streams)]
    done = await asyncio.gather(*(_one(session, target, chunks, after) for after in later))
    seconds, cpu = time.perf_counter() - begun, cpu_seconds(target.pid) - cpu
    for stream in done:
        stream.read(chunks)
    return Run(done, streams * chunks, seconds, cpu)


async def _one(session: aiohttp.ClientSession, target: Target, chunks: int, after: float) -> Stream:
    await asyncio.sleep(after)
    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": target.model, "stream": True, "max_tokens": chunks, "messages": messages}
    begun, stream = time.perf_counter(), Stream()
    async with session.post(f"{target.url}/v1/chat/completions", json=body) as response:
        async for data in response.content.iter_any():
            if not stream.first_ms and b" word" in data:
                stream.first_ms = (time.perf_counter() - begun) * 1000
            stream.received.append(data)
    return stream


def cpu_seconds(pid: int | None) -> float:
    """Of all living threads of a process and of its children, by the kernel's nanoseconds."""
    if pid is None:
        return 0.0
    tasks = [task for each in _family(pid) for task in Path(f"/proc/{each}/task").glob("*/schedstat")]
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))
