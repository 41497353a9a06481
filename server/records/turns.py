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
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from retrieval.database.errors import StoreError
from server.records.database import RecordsDatabase
from server.records.errors import UnknownTurn
from server.records.turn import Status, Turn, read_turn, words

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger("ragpod.records")


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
        self._end = let_go.values(words=bindparam("now_words")).where(mine)
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
        """It runs, here. `end` completes it. A session that it is of is a new one."""

        def begin(db: "Connection") -> None:
            if turn.in_session:
                _open_session(db, turn)
            db.execute(self._insert, _row(turn) | self._held())

        await self._database.run(begin)

    async def enter(self, turn: Turn, replaces: str | None, most: int) -> tuple[Turn, list[Turn]]:
        """As `begin`, in a session that was named: the turn with its place there, and the `most` last turns before it.

        replaces: the message that it takes the place of, on a branch of its own. Raises UnknownSession, also of another
        owner's or user's, UnknownMessage, and SessionBusy while another answer of that session runs.
        """
        from server.records import talk

        def enter(db: "Connection") -> tuple[Turn, list[Turn]]:
            after, depth, user = talk.place(db, turn, replaces, self._clock())
            placed = replace(turn, after_id=after, depth=depth, user_id=user)
            earlier = talk.branch(db, turn.owner, after, most)
            db.execute(self._insert, _row(placed) | self._held())
            talk.begun(db, placed)
            return placed, [read_turn(each) for each in earlier]

        return await self._database.run(enter)

    def _held(self) -> dict[str, Any]:
        return {"held_by": self._me, "held_until": self._clock() + self._seconds}

    async def end(self, turn: Turn) -> None:
        """Of one that was begun; nothing where it was deleted meanwhile."""
        row = {"named": turn.trace_id, "of_owner": turn.owner, "whole": orjson.dumps(turn), "now_words": words(turn)}

        def end(db: "Connection") -> None:
            if db.execute(self._end, row).rowcount and turn.in_session:
                _close_in_session(db, turn, self._clock())

        try:
            await self._database.run(end)
        except StoreError:
            self._lost.add(turn.trace_id)
            raise

    async def save(self, turn: Turn) -> None:
        """One whose beginning could not be written."""

        def save(db: "Connection") -> None:
            db.execute(self._insert, _row(turn))
            if turn.in_session:
                _open_session(db, turn)
                _close_in_session(db, turn, self._clock())

        await self._database.run(save)

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
        return read_turn(row[0])

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
        "user_id": turn.user_id,
        "message_id": turn.message_id,
        "after_id": turn.after_id,
        "depth": turn.depth,
        "words": words(turn),
    }


def _open_session(db: "Connection", turn: Turn) -> None:
    from server.records import talk

    talk.insert_new(db, talk.new(turn.owner, turn.session_id, turn.user_id, "", turn.created))
    talk.begun(db, turn)


def _close_in_session(db: "Connection", turn: Turn, now: float) -> None:
    from server.records import talk

    talk.ended(db, turn, now)


def _interrupted(turn: bytes) -> bytes:
    return orjson.dumps({**orjson.loads(turn), "status": Status.INTERRUPTED})


def _unknown(trace_id: str) -> UnknownTurn:
    return UnknownTurn(f"no trace {trace_id!r}")
