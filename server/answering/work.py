"""One question and what has come of it so far; at the end, a stored turn."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from models.base import FinishReason, Usage
from retrieval.characters import shown_name
from retrieval.types import Candidate, Chunk, Retrieval, ScoredChunk
from server.answering.ask import Ask
from server.answering.transcript import Transcript
from server.records.turn import Status, Turn


@dataclass(slots=True)
class Work:
    """begun: performance counter. created: Unix seconds. timings_ms: of everything that ended so far."""

    ask: Ask
    begun: float = field(default_factory=time.perf_counter)
    created: float = field(default_factory=time.time)
    search_question: str = ""
    retrieval: Retrieval | None = None
    generator: str = ""
    usage: Usage = field(default_factory=Usage)
    finishes: dict[int, FinishReason] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)
    timings_ms: dict[str, float] = field(default_factory=dict)
    transcript: Transcript = field(default_factory=Transcript)

    @property
    def finish_reason(self) -> FinishReason:
        """Of the first choice."""
        return self.finishes.get(0, "stop")

    @property
    def other_reasons(self) -> tuple[FinishReason, ...]:
        """Of the choices after it."""
        return tuple(self.finishes.get(i, "stop") for i in range(1, self.ask.sampling.n))

    def mark(self, name: str, since: float) -> None:
        self.timings_ms[name] = round((time.perf_counter() - since) * 1000, 2)

    def turn(self, status: Status) -> Turn:
        ask, told, found = self.ask, self.transcript, self.retrieval
        return Turn(
            trace_id=ask.trace_id,
            session_id=ask.session_id,
            message_id=ask.message_id,
            owner=ask.owner,
            created=self.created,
            model=ask.model,
            generator=self.generator,
            store_ids=ask.store_ids,
            status=status,
            question=ask.talk.question,
            search_question=self.search_question,
            answer=told.text,
            reasoning=told.reasoning,
            finish_reason=self.finish_reason if status is Status.COMPLETE else None,
            no_evidence=told.sources.no_evidence,
            degraded=tuple(self.degraded),
            skipped=told.sources.skipped,
            sources=[source(scored) for scored in told.sources.evidence],
            candidates=[candidate(c) for c in found.candidates] if found else [],
            citations=[asdict(citation) for citation in told.citations],
            tool_calls=[asdict(call) for call in told.tool_calls],
            others=[self._other(i) for i in range(1, ask.sampling.n)],
            labels=dict(ask.labels),
            usage=asdict(self.usage),
            timings_ms=dict(self.timings_ms),
            counts=dict(found.counts) if found else {},
            error=asdict(told.error) if told.error else None,
            user_id=ask.user_id,
            in_session=ask.in_session,
            after_id=ask.after_id,
            depth=ask.depth,
        )

    def _other(self, index: int) -> dict[str, Any]:
        choice = self.transcript.choice(index)
        return {
            "answer": choice.text,
            "reasoning": choice.reasoning,
            "citations": [asdict(citation) for citation in choice.citations],
            "tool_calls": [asdict(call) for call in choice.tool_calls],
            "finish_reason": self.finishes.get(index),
        }


def where(chunk: Chunk) -> dict[str, Any]:
    """Where a passage stands in its document and its file, as every route says it. start, end: code points of the
    document's text.
    """
    section = {"section": " > ".join(map(shown_name, chunk.headings))} if chunk.headings else {}
    return {"page": chunk.page, **chunk.place.fields(), **section, "start": chunk.start, "end": chunk.end}


def source(scored: ScoredChunk) -> dict[str, Any]:
    """A piece of evidence as callers see it, whatever the route."""
    chunk = scored.chunk
    return {
        "content": chunk.text,
        "title": shown_name(chunk.title),
        "url": chunk.url or None,
        "filepath": shown_name(chunk.filename),
        "chunk_id": chunk.id,
        "file_id": chunk.file_id,
        "document_id": chunk.own_id,
        "score": scored.score,
        "scores": dict(scored.scores),
        "headings": [shown_name(heading) for heading in chunk.headings],
        **where(chunk),
        "attributes": dict(chunk.attributes),
    }


def candidate(found: Candidate) -> dict[str, Any]:
    chunk = found.scored.chunk
    return {
        "chunk_id": chunk.id,
        "file_id": chunk.file_id,
        "document_id": chunk.own_id,
        "title": shown_name(chunk.title),
        "score": found.scored.score,
        "scores": dict(found.scored.scores),
        "dropped": found.dropped,
    }
