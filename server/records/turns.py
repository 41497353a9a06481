"""Stored turns: every question from the moment that it is worked at, with its answer as it was given, whole or not.

begin -> running -> end -> complete, cancelled, failed. A turn is held by the server that runs it, under a name that
its next start does not have, for as long as an answer may take: of one that was killed it becomes `interrupted`, by
its own next start at once, by another server on the same database when that time is over. So does one whose end could
not be written, with the next upkeep that can.
"""

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from retrieval.database.errors import StoreError
from server.records.database import RecordsDatabase
from server.records.errors import UnknownTurn

log = logging.getLogger("ragpod.records")


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
    """server: the name of the data folder among those that share the database; one process at a time has it.

    seconds: the longest that an answer runs. clock: Unix seconds.
    """

    def __init__(
        self,
        database: RecordsDatabase,
        server: str = "server",
        seconds: float = 300.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        from sqlalchemy import and_, bindparam, insert, or_, select, update

        from server.records.tables import turns

        self._database = database
        self._me = f"{server}.{secrets.token_hex(4)}"
        self._seconds, self._clock = seconds, clock
        self._lost: set[str] = set()  # ended, and it could not be written
        held_by, named = turns.c.held_by, turns.c.trace_id == bindparam("named")
        mine = and_(named, turns.c.owner == bindparam("of_owner"))
        earlier = and_(held_by.startswith(f"{server}.", autoescape=True), held_by != self._me)
        self._insert = insert(turns)
        self._select = select(turns.c.turn).where(mine)
        let_go = update(turns).values(turn=bindparam("whole"), held_by=None, held_until=None)
        self._end = let_go.where(mine)
        self._interrupt = let_go.where(named, held_by == bindparam("holder"))
        self._left = select(turns.c.trace_id, held_by, turns.c.turn).where(
            held_by.is_not(None),
            or_(
                earlier,
                turns.c.held_until < bindparam("now"),
                and_(held_by == self._me, turns.c.trace_id.in_(bindparam("lost", expanding=True))),
            ),
        )

    async def begin(self, turn: Turn) -> None:
        """It runs, here. `end` completes it."""
        held = {"held_by": self._me, "held_until": self._clock() + self._seconds}
        await self._database.run(lambda db: db.execute(self._insert, _row(turn) | held))

    async def end(self, turn: Turn) -> None:
        """Of one that was begun; nothing where it was deleted meanwhile."""
        row = {"named": turn.trace_id, "of_owner": turn.owner, "whole": orjson.dumps(turn)}
        try:
            await self._database.run(lambda db: db.execute(self._end, row))
        except StoreError:
            self._lost.add(turn.trace_id)
            raise

    async def save(self, turn: Turn) -> None:
        """One whose beginning could not be written."""
        await self._database.run(lambda db: db.execute(self._insert, _row(turn)))

    async def interrupt(self) -> None:
        """Those that nobody works at any more are marked so."""
        lost = set(self._lost)
        those = {"now": self._clock(), "lost": sorted(lost)}
        left = await self._database.read(lambda db: db.execute(self._left, those).all())
        rows = [{"named": each.trace_id, "holder": each.held_by, "whole": _interrupted(each.turn)} for each in left]
        if rows:
            await self._database.run(lambda db: db.execute(self._interrupt, rows), grows=False)
            log.warning("%d answers had not ended when their server did, or their end could not be kept", len(rows))
        self._lost -= lost

    async def interrupt_if_possible(self) -> None:
        """At the start, which waits for no database: the upkeep tries again."""
        try:
            await self.interrupt()
        except StoreError as error:
            log.warning("answers of an earlier start cannot be marked as interrupted yet: %s", error)

    async def get(self, owner: str, trace_id: str) -> Turn:
        """Raises UnknownTurn, also of another owner's."""
        named = {"named": trace_id, "of_owner": owner}
        row = await self._database.read(lambda db: db.execute(self._select, named).first())
        if row is None:
            raise _unknown(trace_id)
        return _turn(orjson.loads(row[0]))

    async def delete(self, owner: str, trace_id: str) -> None:
        """With the response that was made by it. Raises UnknownTurn, also of another owner's."""
        from server.records.deleting import delete_turn

        if not await self._database.run(lambda db: delete_turn(db, owner, trace_id), grows=False):
            raise _unknown(trace_id)


def _row(turn: Turn) -> dict[str, Any]:
    return {
        "trace_id": turn.trace_id,
        "owner": turn.owner,
        "session_id": turn.session_id,
        "created": turn.created,
        "turn": orjson.dumps(turn),
    }


def _interrupted(turn: bytes) -> bytes:
    return orjson.dumps({**orjson.loads(turn), "status": Status.INTERRUPTED})


def _unknown(trace_id: str) -> UnknownTurn:
    return UnknownTurn(f"no trace {trace_id!r}")


def _turn(stored: dict[str, Any]) -> Turn:
    tuples = {name: tuple(stored.get(name, ())) for name in ("store_ids", "degraded", "skipped")}
    return Turn(**stored | tuples | {"status": Status(stored["status"])})
