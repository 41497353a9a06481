"""Events to OpenAI chat completions: chunks and the whole; pure functions of the events."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from models.base import Usage
from server import sse
from server.errors import failure_of_event
from server.events import (
    Citation,
    Done,
    ErrorEvent,
    Event,
    ReasoningDelta,
    Sources,
    Started,
    TextDelta,
)
from server.transcript import Transcript
from server.work import candidate, source

DONE = b"data: [DONE]\n\n"
Json = dict[str, Any]


class Chunks:
    """Renders one answer's events as `chat.completion.chunk` events; only data lines and [DONE], once."""

    def __init__(self, model: str, *, include_usage: bool, created: int | None = None) -> None:
        self._model, self._include_usage = model, include_usage
        self._created = created or int(time.time())
        self._told = Transcript()
        self._opened = False

    def __call__(self, events: Iterable[Event]) -> bytes:
        return b"".join(self._frames(event) for event in events)

    def _frames(self, event: Event) -> bytes:
        self._told.add(event)
        match event:
            case TextDelta(text):
                return self._chunk({"content": text})
            case ReasoningDelta(text):
                return self._chunk({"reasoning": text, "reasoning_content": text})
            case Sources():
                return self._open()
            case ErrorEvent():
                return sse.data(failure_of_event(event).body())
            case Done():
                return self._close(event)
            case _:
                return b""

    def _open(self) -> bytes:
        self._opened = True
        delta = {"role": "assistant", "content": "", "context": context(self._told.sources)}
        return self._chunk(delta, ragpod=metadata(self._told))

    def _close(self, done: Done) -> bytes:
        if done.finish_reason == "error":
            return DONE
        frames = b"" if self._opened else self._open()
        last = {"annotations": annotations(self._told.citations, self._told.sources)}
        frames += self._chunk(last, finish_reason(done), ragpod=metadata(self._told))
        if self._include_usage:
            frames += sse.data(self._base() | {"choices": [], "usage": usage_of(self._told)})
        return frames + DONE

    def _chunk(self, delta: Json, reason: str | None = None, **extra: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self._include_usage else {}
        return sse.data(self._base() | {"choices": [choice]} | usage | extra)

    def _base(self) -> Json:
        return {
            "id": completion_id(self._told.started),
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
        }


def completion(told: Transcript, model: str) -> Json:
    """The answer of a request that did not stream; `told` holds all events of one answer without an error."""
    assert told.done is not None
    message: Json = {"role": "assistant", "content": told.text, "refusal": None}
    if told.reasoning:
        message |= {"reasoning": told.reasoning, "reasoning_content": told.reasoning}
    message |= {"context": context(told.sources), "annotations": annotations(told.citations, told.sources)}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(told.done)}
    return {
        "id": completion_id(told.started),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": usage_of(told),
        "ragpod": metadata(told),
    }


def completion_id(started: Started | None) -> str:
    return "chatcmpl-" + (started.trace_id.removeprefix("trace_") if started else "none")


def finish_reason(done: Done) -> str:
    return "length" if done.finish_reason == "length" else "stop"


def context(sources: Sources) -> Json:
    """Azure's shape: citations[i] is what mark [i + 1] refers to."""
    return {"citations": [source(scored) for scored in sources.evidence]}


def annotations(citations: Sequence[Citation], sources: Sources) -> list[Json]:
    """One for each mark of the text; index counts context.citations from 0."""
    return [
        {
            "type": "file_citation",
            "start_index": citation.start,
            "end_index": citation.end,
            "file_id": citation.file_id,
            "filename": sources.evidence[citation.marker - 1].chunk.filename,
            "index": citation.marker - 1,
            "chunk_id": citation.chunk_id,
        }
        for citation in citations
    ]


def metadata(told: Transcript) -> Json:
    report, started = told.usage, told.started
    known: Json = {
        "trace_id": started.trace_id if started else None,
        "session_id": started.session_id if started else None,
        "no_evidence": told.sources.no_evidence,
        "degraded": list(report.degraded if report else told.sources.degraded),
        "skipped": list(told.sources.skipped),
        "timings_ms": dict(report.timings_ms) if report else {},
        "counts": dict(report.counts) if report else {},
    }
    if told.sources.candidates:
        known["candidates"] = [candidate(c) for c in told.sources.candidates]
    if told.done and told.done.finish_reason == "cancelled":
        known["cancelled"] = True
    return known


def usage_of(told: Transcript) -> Json:
    usage = told.usage.usage if told.usage else Usage()
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
