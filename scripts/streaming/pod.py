"""The checks of scripts/smoke_test.py: what a client needs of a running ragpod, one function each.

A check returns what it found, in words, and leaves its numbers in Pod.numbers. It raises Failed, or Warned where it
works but somebody should look.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from streaming.results import Failed, Warned
from streaming.timing import Stream, read_stream, text_of

CHAT = "/v1/chat/completions"
COUNT = [{"role": "user", "content": "Count from 1 to 200, with one number in each line. Begin with 1."}]
STORY = [{"role": "user", "content": "Write a very long story about a lighthouse keeper."}]
Json = dict[str, Any]


@dataclass
class Pod:
    """engine: its model id, known after `models`.

    Seconds: silence, without a byte that a proxy is thought to allow; freed, until an abandoned answer must have ended.
    """

    http: aiohttp.ClientSession
    url: str
    key: str | None
    silence: float
    freed: float
    engine: str = ""
    streams: list[Stream] = field(default_factory=list)
    numbers: Json = field(default_factory=dict)

    async def get(self, path: str) -> tuple[int, str]:
        async with self.http.get(self.url + path) as response:
            return response.status, await response.text()

    async def post(self, path: str, **given: Any) -> tuple[int, Json]:
        """Raises Failed where the answer is not JSON, as from a proxy that answers itself."""
        async with self.http.post(self.url + path, **given) as response:
            text = await response.text()
        try:
            told: Json = json.loads(text)
        except ValueError:
            raise Failed(f"HTTP {response.status}, not JSON but {text[:80]!r}") from None
        return response.status, told

    async def stream(self, body: Json, **options: Any) -> Stream:
        stream = await read_stream(self.http, self.url + CHAT, body, **options)
        self.streams.append(stream)
        return stream


async def health(pod: Pod) -> str:
    status, text = await pod.get("/health")
    if status != 200 or "ok" not in text:
        raise Failed(f"HTTP {status}: {text[:80]}")
    return "alive"


async def ready(pod: Pod) -> str:
    status, text = await pod.get("/ready")
    if status != 200:
        raise Warned(f"HTTP {status}: {text[:120]}")
    return "nothing missing"


async def key_needed(pod: Pod) -> str:
    if pod.key is None:
        raise Warned("RAGPOD_API_KEY is not set: whether strangers are refused was not asked")
    async with pod.http.get(pod.url + "/v1/models", headers={"Authorization": "Bearer wrong"}) as response:
        if response.status != 401:
            raise Failed(f"a wrong key gets HTTP {response.status}")
        return f"a wrong key gets 401 {(await response.json())['error']['code']}"


async def models(pod: Pod) -> str:
    status, text = await pod.get("/v1/models")
    if status != 200:
        raise Failed(f"HTTP {status}: {text[:120]}")
    cards = json.loads(text)["data"]
    pod.engine = next((card["id"] for card in cards if card["owned_by"] == "engine"), "")
    if not pod.engine or "ragpod" not in {card["id"] for card in cards}:
        raise Failed(f"no engine and no ragpod among {[card['id'] for card in cards]}")
    return f"{len(cards)} models, the engine's is {pod.engine}"


async def streaming(pod: Pod) -> str:
    """Headers, one [DONE], and tokens that come one by one."""
    body = {"model": pod.engine, "messages": COUNT, "max_tokens": 96, "temperature": 0}
    stream = await pod.stream(body | {"stream_options": {"include_usage": True}})
    pod.numbers = stream.numbers()
    if not stream.headers.get("content-type", "").startswith("text/event-stream"):
        raise Failed(f"content-type {stream.headers.get('content-type')}")
    if stream.dones != 1:
        raise Failed(f"{stream.dones} times [DONE]")
    if stream.buffered:
        raise Failed(f"{len(stream.deltas)} deltas came in {stream.pieces} pieces: something on the way buffers")
    told = f"first token {stream.ttft:.2f} s, {len(stream.deltas)} deltas in {stream.pieces} pieces, gaps p95"
    told += f" {pod.numbers['gap_p95_ms']} ms"
    if stream.headers.get("content-encoding"):
        raise Warned(f"{told}; content-encoding {stream.headers['content-encoding']}")
    if stream.headers.get("x-accel-buffering") != "no":
        raise Warned(f"{told}; X-Accel-Buffering was taken away on the way, as nginx does")
    if len(stream.deltas) < 16:
        raise Warned(f"{told}; too few to tell whether something buffers")
    return told


async def whole(pod: Pod) -> str:
    """The same question not streamed: the same text. Three tries, as a busy engine's batches differ."""
    body = {"model": pod.engine, "messages": COUNT, "max_tokens": 24, "temperature": 0, "seed": 0}
    for _ in range(3):
        streamed = (await pod.stream(body)).text
        status, told = await pod.post(CHAT, json=body)
        if status != 200:
            raise Failed(f"HTTP {status}: {told}")
        if text_of(told["choices"][0]["message"]) == streamed:
            return f"{len(streamed)} characters, streamed and not; {told['usage']['completion_tokens']} tokens"
    raise Failed("the text differs from the streamed one, three times")


async def answer(pod: Pod) -> str:
    """`ragpod`: retrieval before the engine. An empty store may answer that it knows nothing."""
    stream = await pod.stream({"model": "ragpod", "messages": COUNT})
    told = stream.chunks[-1].get("ragpod") or {}
    pod.numbers = stream.numbers() | {"timings_ms": told.get("timings_ms")}
    if stream.dones != 1 or not told.get("trace_id"):
        raise Failed(f"{stream.dones} times [DONE], trace {told.get('trace_id')}")
    if told["degraded"]:
        raise Warned(f"degraded: {', '.join(told['degraded'])}")
    what = "no evidence for it" if told["no_evidence"] else "with evidence"
    return f"first word {stream.ttft:.2f} s, {what}"


async def leaving(pod: Pod) -> str:
    """A client that goes away ends the work: the server's own counters say so."""
    before = await _counters(pod)
    body = {"model": pod.engine, "messages": STORY, "max_tokens": 2048}
    await pod.stream(body, leave_after=3)
    since = time.perf_counter()
    while time.perf_counter() - since < pod.freed:
        now = await _counters(pod)
        if now["left"] > before["left"] and now["running"] <= before["running"]:
            seconds = time.perf_counter() - since
            pod.numbers = {"freed_ms": round(seconds * 1000)}
            return f"the engine was free {seconds:.2f} s after the client had left"
        await asyncio.sleep(0.05)
    raise Failed(f"{pod.freed:g} s after the client had left, the answer still runs: {now}, before: {before}")


async def _counters(pod: Pod) -> dict[str, float]:
    """Raises Warned where the server tells no metrics."""
    status, text = await pod.get("/metrics")
    running = re.search(r"^ragpod_answers_running (\S+)", text, re.MULTILINE)
    if status != 200 or running is None:
        raise Warned(f"/metrics answers HTTP {status} without ragpod_answers_running: not asked")
    left = re.search(r'^ragpod_cancellations_total\{reason="disconnected"\} (\S+)', text, re.MULTILINE)
    return {"running": float(running[1]), "left": float(left[1]) if left else 0.0}


async def errors(pod: Pod) -> str:
    """A failure keeps its status, and is the API's own JSON, not a proxy's page."""
    wrong = (
        (404, {"json": {"model": "no-such-model", "messages": COUNT}}),
        (400, {"data": b"{", "headers": {"Content-Type": "application/json"}}),
        (400, {"json": {"model": pod.engine, "messages": []}}),
    )
    for expected, given in wrong:
        status, told = await pod.post(CHAT, **given)
        if status != expected or "message" not in told.get("error", {}):
            raise Failed(f"HTTP {status} where {expected} was expected: {told}")
    return "404 and 400, each with its JSON"


async def silence(pod: Pod) -> str:
    longest = max((stream.silence for stream in pod.streams), default=0.0)
    pings = sum(stream.pings for stream in pod.streams)
    pod.numbers = {"silence_max_s": round(longest, 2), "pings": pings}
    if longest > pod.silence + 1:
        raise Failed(f"{longest:.1f} s without a byte; a proxy gives up on that")
    return f"at most {longest:.1f} s without a byte, {pings} pings"


CHECKS: tuple[Callable[[Pod], Awaitable[str]], ...] = (
    health, ready, key_needed, models, streaming, whole, answer, leaving, errors, silence,
)  # fmt: skip
