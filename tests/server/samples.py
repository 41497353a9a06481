"""One answer's events, as values."""

from collections.abc import Iterable
from typing import Any

from models.base import Usage
from retrieval.types import Chunk, ScoredChunk
from server.answering.events import (
    Citation,
    Done,
    Event,
    ReasoningDelta,
    Sources,
    Stage,
    Started,
    TextDelta,
    UsageReport,
)
from server.answering.run import Renderer


def scored(number: int, text: str, filename: str = "faq.md") -> ScoredChunk:
    chunk = Chunk(
        key=number,
        id=f"chunk_{number}",
        document_id=f"doc_{number}",
        file_id=f"file_{number}",
        store_id="vs_1",
        position=0,
        text=text,
        start=0,
        end=len(text),
        title="배송",
        filename=filename,
    )
    return ScoredChunk(chunk, 0.9, {"bm25": 3.5, "dense": 0.8, "rerank2": 0.9})


EVIDENCE = (scored(1, "배송은 이틀 걸립니다."), scored(2, "반품은 7일 안에 합니다."))
ANSWER: tuple[Event, ...] = (
    Started("trace_abc", "session_1", "msg_1", "ragpod"),
    Stage("search"),
    Sources(EVIDENCE, degraded=("rerank: timeout",)),
    Stage("generate"),
    ReasoningDelta("생각"),
    TextDelta("이틀"),
    TextDelta("[1]"),
    Citation(1, "chunk_1", "file_1", 2, 5),
    TextDelta(" 걸려요."),
    UsageReport(Usage(20, 7, 4, 2), {"total": 12.5}, {"fused": 100}, ("rerank: timeout",)),
    Done("stop"),
)
TEXT = "이틀[1] 걸려요."


def fed(renderer: Renderer[Any], events: Iterable[Any]) -> bytes:
    """All that a stream shows of `events`."""
    return b"".join(renderer.feed(event) for event in events)
