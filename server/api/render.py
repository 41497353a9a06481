"""Events to the plain API: typed server-sent events, and the whole; pure functions of the events."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from server.answering.events import (
    Citation,
    Done,
    ErrorEvent,
    Event,
    ReasoningDelta,
    Sources,
    Stage,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from server.answering.failures import failure_of_event
from server.answering.transcript import Transcript, usage_of
from server.answering.work import source
from server.http.errors import error_body

Json = dict[str, Any]


class TypedEvents:
    """frame(name, payload) makes one event's bytes; `done` carries the same metadata as the whole answer."""

    def __init__(self, frame: Callable[[str, Json], bytes]) -> None:
        self._frame, self._told = frame, Transcript()

    def feed(self, event: Event) -> bytes:
        self._told.add(event)
        if isinstance(event, Done):
            return self._frame("done", {"finish_reason": event.finish_reason, "metadata": metadata(self._told)})
        return self._frame(*named(event))


def named(event: Event) -> tuple[str, Json]:
    match event:
        case Started():
            return "started", asdict(event)
        case Stage(name):
            return "stage", {"name": name}
        case Sources():
            return "sources", sources(event)
        case ReasoningDelta(text):
            return "reasoning", {"text": text}
        case TextDelta(text):
            return "delta", {"text": text}
        case Citation():
            return "citation", asdict(event)
        case ToolCallDelta():
            return "tool_call", asdict(event)
        case UsageReport():
            return "usage", {"usage": asdict(event.usage), "timings_ms": dict(event.timings_ms)}
        case ErrorEvent():
            return "error", error_body(failure_of_event(event)) | {"retryable": event.retryable}
        case Done(reason):
            return "done", {"finish_reason": reason}


def answer_of(told: Transcript) -> Json:
    """`told` holds all events of one answer without an error."""
    listed = sources(told.sources)["sources"]
    return {"success": True, "answer": told.text, "sources": listed, "metadata": metadata(told)}


def sources(event: Sources) -> Json:
    listed = [{"marker": i, **source(scored)} for i, scored in enumerate(event.evidence, 1)]
    return {
        "sources": listed,
        "no_evidence": event.no_evidence,
        "degraded": list(event.degraded),
        "skipped": list(event.skipped),
    }


def metadata(told: Transcript) -> Json:
    started, report = told.started, told.usage
    return {
        "trace_id": started.trace_id if started else None,
        "session_id": started.session_id if started else None,
        "message_id": started.message_id if started else None,
        "model": started.model if started else None,
        "timings_ms": dict(report.timings_ms) if report else {},
        "counts": dict(report.counts) if report else {},
        "usage": usage_of(told),
        "no_evidence": told.sources.no_evidence,
        "degraded": list(told.degraded),
        "skipped": list(told.sources.skipped),
        "citations": [asdict(citation) for citation in told.citations],
        "suggested_questions": [],
    }
