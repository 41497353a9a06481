"""Conversations that are kept: listed, searched, read branch by branch, renamed and removed.

Turns are written by server/records/turns.py, as they begin and end; a message here is one half of a turn. Every call
takes the owner, and where it says so the user: another's session is as unknown as one that never was.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.characters import folded, one_line
from server.records.database import RecordsDatabase
from server.records.turn import Turn, read_turn

if TYPE_CHECKING:
    from sqlalchemy import Connection

MOST_WORDS = 8  # of a search


@dataclass(frozen=True, slots=True)
class Session:
    """created, updated: Unix seconds. messages: of the branch that is shown, questions and answers."""

    id: str
    user_id: str
    title: str
    created: float
    updated: float
    messages: int
    last_message: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn with its place among the versions of it, which follow the same turn: version of versions, from 1.

    versions: the ids of their answers.
    """

    turn: Turn
    version: int
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Any]
    has_more: bool


class Sessions:
    """clock: Unix seconds."""

    def __init__(self, database: RecordsDatabase, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    async def create(self, owner: str, user_id: str, title: str) -> Session:
        from server.records import talk

        row = talk.new(owner, f"session_{secrets.token_hex(16)}", user_id, title, self._clock())
        await self._database.run(lambda db: talk.insert_new(db, row))
        return _session(row)

    async def get(self, owner: str, session_id: str, user_id: str = "") -> Session:
        """Raises UnknownSession."""
        return _session(await self._database.read(lambda db: _mine(db, owner, session_id, user_id)))

    async def page(self, owner: str, user_id: str, query: str, limit: int, after: str | None) -> Page:
        """The newest first. user_id: "" is everyone's. query: every word of it stands in the title or in a message.

        after: a session's id. Raises UnknownSession for it.
        """
        from server.records import listing

        wanted = folded(query).split()[:MOST_WORDS]

        def read(db: "Connection") -> Page:
            last = _mine(db, owner, after, user_id) if after is not None else None
            rows = listing.sessions_of(db, owner, user_id, wanted, limit + 1, last)
            return Page([_session(row) for row in rows[:limit]], len(rows) > limit)

        return await self._database.read(read)

    async def rename(self, owner: str, session_id: str, user_id: str, title: str) -> Session:
        """Raises UnknownSession."""
        from server.records import listing

        def rename(db: "Connection") -> Session:
            _mine(db, owner, session_id, user_id)
            listing.rename(db, owner, session_id, title, folded(title))
            return _session(_mine(db, owner, session_id, user_id))

        return await self._database.run(rename)

    async def exchanges(
        self, owner: str, session_id: str, user_id: str = "", *, limit: int | None = None, before: str | None = None
    ) -> tuple[Session, Page]:
        """The last `limit` of the branch that is shown, or of those before the message `before`, the oldest first.

        limit: None is all. Raises UnknownSession, UnknownMessage.
        """
        return await self._database.read(lambda db: _read(db, owner, session_id, user_id, limit, before))

    async def exchange(self, owner: str, message_id: str, user_id: str = "") -> Turn:
        """The turn that a message is of, question or answer. Raises UnknownMessage."""
        from server.records import listing

        return await self._database.read(lambda db: read_turn(listing.turn_of(db, owner, message_id, user_id)))

    async def show(self, owner: str, session_id: str, user_id: str, message_id: str) -> Session:
        """The branch of that message is the one that is shown, to its end, and goes on. Raises UnknownSession,
        UnknownMessage, SessionBusy.
        """
        from server.records import listing

        def show(db: "Connection") -> Session:
            _mine(db, owner, session_id, user_id)
            listing.show(db, owner, session_id, message_id, self._clock())
            return _session(_mine(db, owner, session_id, user_id))

        return await self._database.run(show)

    async def running(self, owner: str, *, session_id: str = "", user_id: str = "") -> Sequence[str]:
        """Traces of the answers that run in a session, or of a user."""
        from server.records import listing

        return await self._database.read(lambda db: listing.running(db, owner, session_id, user_id))

    async def delete(self, owner: str, session_id: str, user_id: str = "") -> None:
        """With its messages; bookmarks of them stay. Raises UnknownSession."""
        from server.records.deleting import delete_session

        def remove(db: "Connection") -> None:
            _mine(db, owner, session_id, user_id)
            delete_session(db, owner, session_id)

        await self._database.run(remove, grows=False)

    async def erase(self, owner: str, user_id: str) -> dict[str, int]:
        """Everything of one user: how many sessions, answers and bookmarks went."""
        from server.records.deleting import erase_user

        return await self._database.run(lambda db: erase_user(db, owner, user_id), grows=False)


def clean_title(title: str) -> str:
    """As it is kept: on one line."""
    return one_line(title)


def _session(row: Any) -> Session:
    return Session(
        row["id"],
        row["user_id"],
        row["title"],
        row["created"],
        row["updated"],
        2 * row["turns"],
        row["last_message"],
    )


def _mine(db: "Connection", owner: str, session_id: str, user_id: str) -> Any:
    """The row. Raises UnknownSession."""
    from server.records import talk

    row = db.execute(talk.SELECT, talk.named(owner, session_id)).mappings().first()
    if row is None or talk.is_anothers(row["user_id"], user_id):
        raise talk.unknown(session_id)
    return row


def _read(
    db: "Connection", owner: str, session_id: str, user_id: str, limit: int | None, before: str | None
) -> tuple[Session, Page]:
    from server.records import listing, talk

    row = _mine(db, owner, session_id, user_id)
    tree = talk.tree(db, owner, session_id)
    shown = talk.path(tree, row["head"])
    if before is not None:
        shown = shown[: listing.index_of(db, owner, shown, before)]
    wanted = shown if limit is None else shown[-limit:] if limit else []
    versions: dict[str | None, list[str]] = {}
    for trace, before_it in tree:
        versions.setdefault(before_it, []).append(trace)
    follows, found = dict(tree), listing.turns_of(db, owner, wanted, tree, versions)
    exchanges = []
    for trace in wanted:
        beside = versions[follows[trace]]
        exchanges.append(
            Exchange(read_turn(found.turns[trace]), beside.index(trace) + 1, tuple(found.ids[each] for each in beside))
        )
    return _session(row), Page(exchanges, len(wanted) < len(shown))
