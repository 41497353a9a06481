"""What a stream must be as bytes and chunks, whatever it says; pure, one function each.

Each returns what it found, in words, and raises Failed, Warned or NotAsked (results.py).
"""

import codecs
import json
import re
from collections import Counter, defaultdict
from itertools import pairwise

from streaming.results import Failed, NotAsked, Warned
from streaming.timing import DONE, MOST_IN_A_PIECE, Json, Stream

# A heartbeat may be late by this many seconds.
LATE = 1.0
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def headers(stream: Stream) -> str:
    told = stream.headers
    if not told.get("content-type", "").startswith("text/event-stream"):
        raise Failed(f"content-type {told.get('content-type')}")
    if (encoding := told.get("content-encoding", "identity")) != "identity":
        raise Failed(f"content-encoding {encoding}: a compressor holds text back")
    if "content-length" in told:
        raise Failed("content-length: the whole answer was known before its first byte")
    missing = []
    if told.get("x-accel-buffering", "").lower() != "no":
        missing.append("no X-Accel-Buffering: no (nginx takes it away when it obeys)")
    if not re.search("no-cache|no-store|no-transform", told.get("cache-control", "")):
        missing.append("no Cache-Control: no-cache")
    if missing:
        raise Warned("; ".join(missing))
    return f"{told['content-type']}, not compressed, no buffering, {told['cache-control']}"


def events(stream: Stream) -> str:
    """Every event has data. OpenAI's SDKs stop at one that has only `id:` or `retry:`."""
    lines = re.split(rb"\r\n|\r|\n", bytes(stream.raw))
    fields = Counter(line.partition(b":")[0].decode(errors="replace") for line in lines if line[:1] not in (b"", b":"))
    blocks = re.split(rb"(?:\r\n|\r|\n){2,}", bytes(stream.raw))
    for block in blocks:
        named = [line for line in re.split(rb"\r\n|\r|\n", block) if line and not line.startswith(b":")]
        if named and not any(line.startswith(b"data") for line in named):
            raise Failed(f"an event without data: {block[:60]!r}")
    wrong = {chunk.get("object") for chunk in stream.chunks} - {"chat.completion.chunk"}
    if wrong:
        raise Failed(f"chunks whose object is {sorted(map(str, wrong))}")
    if set(fields) - {"data"}:
        raise Warned(f"fields besides data: {sorted(set(fields) - {'data'})}")
    return f"{len(stream.events)} events, {stream.pings} comments"


def ids(first: Stream, second: Stream) -> str:
    """One id for a stream, another one for the next."""
    named = [{str(chunk.get("id")) for chunk in stream.chunks} for stream in (first, second)]
    for found in named:
        if len(found) != 1:
            raise Failed(f"{len(found)} ids in one stream: {sorted(found)[:3]}")
    if named[0] == named[1]:
        raise Failed(f"two answers have the same id, {named[0].pop()}")
    if not (name := named[0].pop()) or name == "None":
        raise Failed("chunks without an id")
    return f"{name} in every chunk, another one in the next stream"


def roles(stream: Stream) -> str:
    found: dict[int, list[str]] = defaultdict(list)
    for choice in _choices(stream):
        if role := choice["delta"].get("role"):
            found[choice.get("index", 0)].append(role)
    if not found or any(told != ["assistant"] for told in found.values()):
        raise Failed(f"roles of each choice: {dict(found)}")
    return "assistant, once"


def finish(stream: Stream) -> str:
    """One finish_reason a choice, and nothing of the choice after it."""
    reasons: dict[int, str] = {}
    for choice in _choices(stream):
        index, reason = choice.get("index", 0), choice.get("finish_reason")
        if index in reasons and (reason or choice["delta"].get("content")):
            raise Failed(f"choice {index} goes on after its finish_reason {reasons[index]}")
        if reason:
            reasons[index] = reason
    missing = {choice.get("index", 0) for choice in _choices(stream)} - set(reasons)
    if missing or not reasons:
        raise Failed(f"no finish_reason for choice {sorted(missing)}")
    return ", ".join(reasons.values())


def done(stream: Stream) -> str:
    if stream.dones != 1:
        raise Failed(f"{stream.dones} times [DONE]")
    if stream.events[-1][1] != DONE:
        raise Failed("events after [DONE]")
    return "once, last"


def usage(plain: Stream, counted: Stream) -> str:
    """A chunk with usage and no choices, last, where it was asked for; nowhere else."""
    unasked = [chunk for chunk in plain.chunks if chunk.get("usage") or not chunk.get("choices")]
    if unasked:
        raise Failed(f"not asked for usage, got {json.dumps(unasked[-1])[:120]}")
    *rest, last = counted.chunks
    if last.get("choices") != [] or not isinstance(last.get("usage"), dict):
        raise Failed(f"asked for usage, the last chunk is {json.dumps(last)[:120]}")
    if any(chunk.get("usage") or not chunk.get("choices") for chunk in rest):
        raise Failed("usage, or no choices, in a chunk before the last one")
    counts = [last["usage"].get(name) for name in COUNTS]
    if not all(isinstance(count, int) for count in counts) or counts[0] + counts[1] != counts[2]:
        raise Failed(f"usage is {last['usage']}")
    return f"{counts[0]} + {counts[1]} = {counts[2]} tokens, only where asked for"


def characters(stream: Stream) -> str:
    """UTF-8 in all, whole characters in every delta."""
    try:
        codecs.decode(bytes(stream.raw), "utf-8")
    except UnicodeDecodeError as error:
        raise Failed(f"not UTF-8 at byte {error.start}") from None
    for number, (_, text) in enumerate(stream.deltas):
        if any(0xD800 <= ord(character) <= 0xDFFF for character in text) or "\ufffd" in text:
            raise Failed(f"delta {number} holds half a character: {text[:20]!r}")
    return f"{len(stream.raw)} bytes of UTF-8, {len(stream.text)} characters"


def as_made(stream: Stream, first_token: float) -> str:
    """Tokens come one by one. first_token: seconds of an answer of one token, not streamed."""
    count, end = len(stream.deltas), stream.deltas[-1][0]
    if count < 2 * MOST_IN_A_PIECE:
        raise NotAsked(f"{count} deltas are too few to tell: ask for a longer answer")
    made = end - first_token
    numbers = stream.numbers()
    told = f"first token {numbers['ttft_ms']:.0f} ms, gaps p50 {numbers['gap_p50_ms']} p95 {numbers['gap_p95_ms']}"
    told += f" max {numbers['gap_max_ms']} ms, {count} deltas in {len(stream.reads)} reads, {stream.pieces} moments"
    if stream.buffered:
        if made < count * 0.001:
            raise NotAsked(f"{told}: too fast to tell")
        raise Failed(f"{told}: something on the way buffers")
    if (late := last_tenth(stream)) > 0.5:
        raise Failed(f"{told}; {late:.0%} of the text in the last tenth of the time: something on the way buffers")
    return told


def last_tenth(stream: Stream) -> float:
    """The share of the text that comes in the last tenth of the time from the first word to the last."""
    begin, end = stream.deltas[0][0], stream.deltas[-1][0]
    return stream.share_after(end - 0.1 * (end - begin))


def pings(streams: list[Stream], after: float) -> str:
    """Comments in a silence that is longer than `after` seconds."""
    stream = max(streams, key=lambda each: each.wait)
    if stream.wait <= after:
        raise NotAsked(f"never silent for {after:g} s: at most {stream.wait:.1f}")
    if stream.silence > after + LATE or not stream.pings:
        raise Failed(f"{stream.silence:.1f} s without a byte, {stream.pings} comments")
    return f"{stream.pings} comments in {stream.wait:.1f} s without a word, at most {stream.silence:.1f} without a byte"


def numbers(stream: Stream) -> Json:
    end = stream.deltas[-1][0]
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(stream.deltas)]
    return stream.numbers() | {
        "reads": len(stream.reads),
        "chunks": len(stream.chunks),
        "share_in_last_tenth": round(stream.share_after(0.9 * end), 3),
        "share_in_last_tenth_of_text": round(last_tenth(stream), 3),
        "gap_mean_ms": round(1000 * sum(gaps) / max(1, len(gaps)), 1),
    }


def _choices(stream: Stream) -> list[Json]:
    return [choice for chunk in stream.chunks for choice in chunk.get("choices") or []]
