"""Events to an OpenAI chat completion, and the parts that its chunks share; pure functions of the events."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from retrieval.characters import shown_name
from server.answering.events import Citation, Done, Sources, Started
from server.answering.transcript import Choice, Transcript, usage_of
from server.answering.work import candidate, source, where

DONE = b"data: [DONE]\n\n"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """What of the request shows in its answer. created: Unix seconds. choices: how many were asked for (`n`).

    refuses: what is said without evidence is OpenAI's `refusal`, not content, which a format was asked of.
    fields: of the completion and of every chunk (system_fingerprint, service_tier).
    """

    model: str
    created: int = field(default_factory=lambda: int(time.time()))
    choices: int = 1
    include_usage: bool = False
    obfuscate: bool = False
    refuses: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)


def completion(told: Transcript, form: Form, labels: Mapping[str, Any] | None = None) -> Json:
    """The answer of a request that did not stream; `told` holds all events of one answer without an error.

    labels: fields of the completion alone (metadata).
    """
    return {
        "id": completion_id(told.started),
        "object": "chat.completion",
        "created": form.created,
        "model": form.model,
        "choices": [_choice(told, form, index) for index in range(form.choices)],
        "usage": usage_of(told),
        **form.fields,
        **(labels or {}),
        "ragpod": metadata(told),
    }


def _choice(told: Transcript, form: Form, index: int) -> Json:
    assert told.done is not None
    choice = told.choice(index)
    return {
        "index": index,
        "message": _message(choice, told.sources, refused=form.refuses and told.sources.no_evidence),
        "logprobs": {"content": choice.logprobs, "refusal": None} if choice.logprobs else None,
        "finish_reason": finish_reason(told.done, index),
    }


def _message(choice: Choice, sources: Sources, *, refused: bool) -> Json:
    """content is null only beside calls and beside a refusal."""
    text, calls = choice.text, choice.tool_calls
    message: Json = {
        "role": "assistant",
        "content": None if refused or (calls and not text) else text,
        "refusal": text if refused else None,
    }
    if calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ]
    if choice.reasoning:
        message |= {"reasoning": choice.reasoning, "reasoning_content": choice.reasoning}
    return message | {"context": context(sources), "annotations": annotations(choice.citations, sources)}


def completion_id(started: Started | None) -> str:
    return "chatcmpl-" + (started.trace_id.removeprefix("trace_") if started else "none")


def finish_reason(done: Done, choice: int = 0) -> str:
    """An answer that was stopped from outside ends as OpenAI's would; `ragpod.cancelled` says so."""
    reason = done.finish_reason if choice == 0 else "stop"
    if 0 < choice <= len(done.others):
        reason = done.others[choice - 1]
    return "stop" if reason == "cancelled" else reason


def context(sources: Sources) -> Json:
    """Azure's shape: citations[i] is what mark [i + 1] refers to."""
    return {"citations": [source(scored) for scored in sources.evidence]}


def annotations(citations: Sequence[Citation], sources: Sources) -> list[Json]:
    """One for each mark of the text; index counts context.citations from 0."""
    return [
        {
            **where(sources.evidence[citation.marker - 1].chunk),
            "type": "file_citation",
            "start_index": citation.start,
            "end_index": citation.end,
            "file_id": citation.file_id,
            "filename": shown_name(sources.evidence[citation.marker - 1].chunk.filename),
            "index": citation.marker - 1,
            "chunk_id": citation.chunk_id,
            "document_id": sources.evidence[citation.marker - 1].chunk.own_id,
        }
        for citation in citations
    ]


def metadata(told: Transcript) -> Json:
    report, started = told.usage, told.started
    known: Json = {
        "trace_id": started.trace_id if started else None,
        "session_id": started.session_id if started else None,
        "no_evidence": told.sources.no_evidence,
        "degraded": list(told.degraded),
        "skipped": list(told.sources.skipped),
        "timings_ms": dict(report.timings_ms) if report else {},
        "counts": dict(report.counts) if report else {},
    }
    if told.sources.candidates:
        known["candidates"] = [candidate(c) for c in told.sources.candidates]
    if told.done and told.done.finish_reason == "cancelled":
        known["cancelled"] = True
    return known
