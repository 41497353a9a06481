"""One streamed chat completion as a client meets it: what arrived, when, and in how many pieces."""

import json
import time
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import quantiles
from typing import Any

import aiohttp

from models.wire.sse import SseParser

# Text that arrives within this many seconds came in one piece; a fast engine needs 5 ms and more for a token.
ONE_PIECE = 0.004
# A proxy's smallest buffer, 4 KiB, holds 16 chunks: eight to a piece on average is more than networks join.
MOST_IN_A_PIECE = 8
DONE = b"[DONE]"
Json = dict[str, Any]


class NotOpenAI(Exception):
    """The answer is not what the API promises; in words for a person."""


@dataclass(slots=True)
class Stream:
    """Times in seconds from the request. deltas: (when, text) of content and reasoning. reads: when bytes came.

    events: when, and the data; [DONE] too. raw: the body, decompressed.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    deltas: list[tuple[float, str]] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    events: list[tuple[float, bytes]] = field(default_factory=list)
    chunks: list[Json] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)

    @property
    def dones(self) -> int:
        return sum(data == DONE for _, data in self.events)

    @property
    def pings(self) -> int:
        """Comments, which keep the connection open while there is nothing to say."""
        return sum(line.startswith(b":") for line in self.raw.splitlines())

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.deltas)

    @property
    def ttft(self) -> float:
        return self.deltas[0][0]

    @property
    def pieces(self) -> int:
        """In how many separate moments the text came."""
        return 1 + sum(later - earlier > ONE_PIECE for (earlier, _), (later, _) in pairwise(self.deltas))

    @property
    def buffered(self) -> bool:
        """Whether something on the way held the text back; never so of fewer than two pieces' worth."""
        count = len(self.deltas)
        return count >= 2 * MOST_IN_A_PIECE and self.pieces < count / MOST_IN_A_PIECE

    @property
    def silence(self) -> float:
        """The longest time without a byte, from the request on."""
        return _longest(self.reads)

    @property
    def wait(self) -> float:
        """The longest time without an event, whatever comments came meanwhile."""
        return _longest([when for when, _ in self.events])

    def share_after(self, moment: float) -> float:
        """Of the text, by characters: what came later."""
        return sum(len(text) for when, text in self.deltas if when > moment) / max(1, len(self.text))

    def numbers(self) -> Json:
        gaps = sorted(later - earlier for (earlier, _), (later, _) in pairwise(self.deltas)) or [0.0]
        cuts = quantiles(gaps, n=20, method="inclusive") if len(gaps) > 1 else gaps * 19
        span = self.deltas[-1][0] - self.deltas[0][0]
        return {
            "ttft_ms": round(self.ttft * 1000, 1),
            "deltas": len(self.deltas),
            "pieces": self.pieces,
            "deltas_per_second": round((len(self.deltas) - 1) / span, 1) if span > 0 else None,
            "gap_p50_ms": round(cuts[9] * 1000, 1),
            "gap_p95_ms": round(cuts[18] * 1000, 1),
            "gap_max_ms": round(gaps[-1] * 1000, 1),
            "silence_max_s": round(self.silence, 2),
            "pings": self.pings,
        }


async def read_stream(http: aiohttp.ClientSession, url: str, body: Json, *, leave_after: int | None = None) -> Stream:
    """Reads to the end, or closes the connection after so many deltas. Raises NotOpenAI."""
    begun, stream, parser = time.perf_counter(), Stream(), SseParser()
    async with http.post(url, json=body | {"stream": True}) as response:
        stream.status, stream.headers = response.status, {k.lower(): v for k, v in response.headers.items()}
        if response.status != 200:
            raise NotOpenAI(f"HTTP {response.status}: {(await response.text())[:200]}")
        async for data in response.content.iter_any():
            now = time.perf_counter() - begun
            stream.raw += data
            stream.reads.append(now)
            for event in parser.feed(data):
                _take(stream, event, now)
            if leave_after is not None and len(stream.deltas) >= leave_after:
                response.close()
                return stream
    if not stream.deltas:
        raise NotOpenAI("the stream ended without a word")
    return stream


def text_of(message: Json) -> str:
    """Of a delta or a message: reasoning counts, as an engine may spend all tokens on it."""
    return (message.get("reasoning") or message.get("reasoning_content") or "") + (message.get("content") or "")


def _longest(moments: list[float]) -> float:
    return max((later - earlier for earlier, later in pairwise([0.0, *moments])), default=0.0)


def _take(stream: Stream, event: bytes, now: float) -> None:
    stream.events.append((now, event))
    if event == DONE:
        return
    try:
        chunk = json.loads(event)
    except ValueError:
        raise NotOpenAI(f"an event is not JSON: {event[:100]!r}") from None
    if "error" in chunk:
        raise NotOpenAI(f"the stream ends with an error: {chunk['error'].get('message')}")
    stream.chunks.append(chunk)
    for choice in chunk.get("choices") or []:
        if text := text_of(choice["delta"]):
            stream.deltas.append((now, text))
