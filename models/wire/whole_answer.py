"""A whole chat completion from its stream; pure.

llama.cpp notices that a client has gone only when it writes to it. So its answers are always asked for as a stream that
reports on prompt reading too, and put together here for callers that want one JSON object.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from models.errors import Unavailable
from models.wire.engine_errors import status_of
from models.wire.forced_call import named_as_required
from models.wire.sse import SseParser

_COMMENT = b": reading the prompt\n\n"
_FIRST_CHUNK = ("id", "created", "model", "system_fingerprint")


def as_watched_stream(request: Mapping[str, Any]) -> bytes:
    """The same request as a stream that the engine keeps writing to while it reads the prompt."""
    options = {"include_usage": True} if not request.get("stream") else request.get("stream_options")
    watched = {**named_as_required(request), "stream": True, "return_progress": True}
    return orjson.dumps(watched | {"stream_options": options} if options else watched)


async def without_reports(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The stream for a caller who did not ask for reports: each repeats the role, so comments stand for them."""
    rest = b""
    async for chunk in chunks:
        *events, rest = (rest + chunk).split(b"\n\n")
        if events:
            yield b"".join(_COMMENT if b'"prompt_progress"' in event else event + b"\n\n" for event in events)
    if rest:
        yield rest


@dataclass(frozen=True, slots=True)
class Reply:
    """A raw answer of the engine: chunks are its body's bytes, as they arrive."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class WholeAnswer:
    """Feed it the stream's bytes; `error` is the in-band error object where one came."""

    def __init__(self) -> None:
        self.error: dict[str, Any] | None = None
        self._parser = SseParser()
        self._fields: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def feed(self, chunk: bytes) -> None:
        """Raises SseError, orjson.JSONDecodeError."""
        for data in self._parser.feed(chunk):
            if not data.startswith(b"[DONE]"):
                self._read(orjson.loads(data))

    @property
    def finished(self) -> bool:
        return bool(self._choices) and all(choice["finish_reason"] for choice in self._choices.values())

    def json(self) -> bytes:
        """As the engine answers without `stream`."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        return orjson.dumps({**self._fields, "object": "chat.completion", "choices": choices})

    def outcome(self, engine: str) -> tuple[int, bytes]:
        """HTTP status and body. Raises Unavailable where the stream ended before the answer did."""
        if self.error is not None:
            return status_of(self.error), orjson.dumps({"error": self.error})
        if not self.finished:
            raise Unavailable(f"the engine {engine} broke off: its answer has no end")
        return 200, self.json()

    def _read(self, event: dict[str, Any]) -> None:
        self.error = event.get("error") or self.error
        for name in _FIRST_CHUNK:
            if name in event:
                self._fields.setdefault(name, event[name])
        if usage := event.get("usage"):
            self._fields["usage"] = _sum(self._fields.get("usage"), usage)
        if timings := event.get("timings"):
            self._fields["timings"] = timings
        for part in event.get("choices") or ():
            choice = self._choices.setdefault(part["index"], _choice(part["index"]))
            choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]
            _add_delta(choice["message"], part.get("delta") or {})
            if logprobs := (part.get("logprobs") or {}).get("content"):
                choice.setdefault("logprobs", {"content": []})["content"] += logprobs


async def whole_answer(engine: str, chunks: AsyncIterator[bytes]) -> Reply:
    """Put together from its stream. Raises Unavailable where the stream ended before the answer did."""
    answer = WholeAnswer()
    async for chunk in chunks:
        answer.feed(chunk)
    status, content = answer.outcome(engine)
    return Reply(status, {"Content-Type": "application/json"}, _once(content))


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _choice(index: int) -> dict[str, Any]:
    return {"index": index, "message": {"role": "assistant", "content": ""}, "finish_reason": None}


def _sum(known: dict[str, Any] | None, usage: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp tells of each choice apart; the prompt they share counts once."""
    if known is None:
        return usage
    written = known["completion_tokens"] + usage["completion_tokens"]
    return known | {"completion_tokens": written, "total_tokens": known["prompt_tokens"] + written}


def _add_delta(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            _add_tool_calls(message.setdefault("tool_calls", []), value)
        elif isinstance(value, str) and name != "role":
            message[name] = message.get(name, "") + value


def _add_tool_calls(calls: list[dict[str, Any]], deltas: list[dict[str, Any]]) -> None:
    """The first delta of a call carries its id and name, the others pieces of its arguments."""
    for delta in deltas:
        index = delta.get("index", len(calls))
        while len(calls) <= index:
            calls.append({"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
        call, function = calls[index], delta.get("function") or {}
        call["id"] = delta.get("id") or call["id"]
        for name in ("name", "arguments"):
            call["function"][name] += function.get(name) or ""
