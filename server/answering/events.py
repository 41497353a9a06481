"""The closed union of stream events: what an answer is, before any wire format.

Order: Started Stage* Sources (ReasoningDelta | TextDelta | Citation | ToolCallDelta)* UsageReport? (Done | ErrorEvent
Done); exactly one Done, always last. choice: of a request for several (`n`), else 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from models.base import FinishReason, ToolCall, Usage
from retrieval.types import Candidate, ScoredChunk


@dataclass(frozen=True, slots=True)
class Started:
    trace_id: str
    session_id: str
    message_id: str
    model: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage begins: "search", "generate"."""

    name: str


@dataclass(frozen=True, slots=True)
class Sources:
    """evidence[i] is what mark [i + 1] refers to. candidates: only where the caller asked for an explanation.

    degraded: what should have run and did not, skipped: what was not needed, in words.
    """

    evidence: tuple[ScoredChunk, ...]
    no_evidence: bool = False
    degraded: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Never empty; the concatenation of a choice is its answer, mark characters included.

    logprobs: OpenAI's objects, one a token, where they were asked for.
    """

    text: str
    choice: int = 0
    logprobs: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a call of one of the caller's own tools."""

    call: ToolCall
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Citation:
    """A mark [n] of the answer, n an existing source; start and end are its characters in the answer.

    document_id: as of Chunk.own_id.
    """

    marker: int
    chunk_id: str
    file_id: str
    start: int
    end: int
    choice: int = 0
    document_id: str = ""


@dataclass(frozen=True, slots=True)
class UsageReport:
    """degraded: everything skipped on the way, what Sources already said included."""

    usage: Usage
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    code: str
    message: str
    retryable: bool
    status: int = 500
    type: str = "server_error"
    param: str | None = None
    retry_after: int | None = None


NOT_STORED = "not_stored"  # in `degraded`: the answer is whole, and nothing, or not all, is kept of it


@dataclass(frozen=True, slots=True)
class Done:
    """finish_reason: of the first choice, or why there is no answer. others: of the choices after the first.

    degraded: what failed after everything else was said.
    """

    finish_reason: FinishReason | Literal["cancelled", "error"]
    others: tuple[FinishReason, ...] = ()
    degraded: tuple[str, ...] = ()


Event = (
    Started | Stage | Sources | ReasoningDelta | TextDelta | ToolCallDelta | Citation | UsageReport | ErrorEvent | Done
)
