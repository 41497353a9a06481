"""Stored turns: every question with its answer, as it was given, whole or not."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from server.records.database import RecordsDatabase
from server.records.errors import UnknownTurn


class Status(StrEnum):
    COMPLETE = "complete"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Turn:
    """generator: which one wrote it. created: Unix seconds. sources[i] has mark [i + 1].

    candidates: every one of the search, with its scores and why it left. others: the choices after the first.
    labels: the caller's own words about it.
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


class Turns:
    def __init__(self, database: RecordsDatabase) -> None:
        from sqlalchemy import bindparam, insert, select

        from server.records.tables import turns

        self._database = database
        self._insert = insert(turns)
        self._select = select(turns.c.turn).where(
            turns.c.trace_id == bindparam("trace_id"), turns.c.owner == bindparam("owner")
        )

    async def save(self, turn: Turn) -> None:
        row = {
            "trace_id": turn.trace_id,
            "owner": turn.owner,
            "session_id": turn.session_id,
            "created": turn.created,
            "turn": orjson.dumps(turn),
        }
        await self._database.run(lambda db: db.execute(self._insert, row))

    async def get(self, owner: str, trace_id: str) -> Turn:
        """Raises UnknownTurn, also of another owner's."""
        named = {"trace_id": trace_id, "owner": owner}
        row = await self._database.read(lambda db: db.execute(self._select, named).first())
        if row is None:
            raise _unknown(trace_id)
        return _turn(orjson.loads(row[0]))

    async def delete(self, owner: str, trace_id: str) -> None:
        """With the response that was made by it. Raises UnknownTurn, also of another owner's."""
        from server.records.deleting import delete_turn

        if not await self._database.run(lambda db: delete_turn(db, owner, trace_id)):
            raise _unknown(trace_id)


def _unknown(trace_id: str) -> UnknownTurn:
    return UnknownTurn(f"no trace {trace_id!r}")


def _turn(stored: dict[str, Any]) -> Turn:
    tuples = {name: tuple(stored.get(name, ())) for name in ("store_ids", "degraded", "skipped")}
    return Turn(**stored | tuples | {"status": Status(stored["status"])})
