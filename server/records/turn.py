"""A turn: one question with its answer, and in a session two messages, of which the id of each tells the other's."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from retrieval.characters import folded


class Status(StrEnum):
    """RUNNING: it is worked at, and all but the question is still empty. INTERRUPTED: it was, by a server that died."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Turn:
    """generator: which one wrote it. created: Unix seconds. sources[i] has mark [i + 1].

    candidates: every one of the search, with its scores and why it left. others: the choices after the first.
    labels: the caller's own words about it. in_session: it is shown as a part of its session, after the turn after_id,
    the depth-th of its branch.
    """

    trace_id: str
    session_id: str
    message_id: str
    owner: str
    created: float
    model: str
    generator: str
    store_ids: tuple[str, ...]
    status: Status
    question: str
    search_question: str
    answer: str
    finish_reason: str | None
    no_evidence: bool
    degraded: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    reasoning: str = ""
    sources: list[dict[str, Any]] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)
    citations: list[dict[str, Any]] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)
    labels: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, int] = field(default_factory=dict)
    timings_ms: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    user_id: str = ""
    in_session: bool = False
    after_id: str | None = None
    depth: int = 1


def words(turn: Turn) -> str:
    """Of question and answer, as they are searched."""
    return folded(f"{turn.question}\n{turn.answer}")


def read_turn(stored: bytes) -> Turn:
    """As it was stored, by this version or an earlier one."""
    said = orjson.loads(stored)
    tuples = {name: tuple(said.get(name, ())) for name in ("store_ids", "degraded", "skipped")}
    return Turn(**said | tuples | {"status": Status(said["status"])})


def answer_id(message_id: str) -> str:
    return f"msg_{message_id[4:]}" if message_id.startswith("ask_") else message_id


def question_id(message_id: str) -> str:
    return f"ask_{message_id.removeprefix('msg_')}"
