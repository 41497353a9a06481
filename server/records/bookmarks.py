"""Messages that somebody marked: with a note and a tag, and the passages as they were.

A bookmark holds the whole turn of its message, and outlives its session and the documents; erasing its user takes it.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from retrieval.characters import folded
from server.records.database import RecordsDatabase
from server.records.errors import UnknownBookmark
from server.records.sessions import Page
from server.records.turn import Turn, read_turn

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Bookmark:
    """created: Unix seconds."""

    id: str
    user_id: str
    created: float
    note: str
    tag: str
    turn: Turn


class Bookmarks:
    """Every call takes the owner, and a user or "": another's bookmark is as unknown as one that never was."""

    def __init__(self, database: RecordsDatabase, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    async def add(self, owner: str, user_id: str, message_id: str, note: str | None, tag: str | None) -> Bookmark:
        """Of a message that is marked already: the bookmark that it has, with what is given now.

        Raises UnknownMessage.
        """
        from server.records import listing

        def add(db: "Connection") -> Bookmark:
            turn = read_turn(listing.turn_of(db, owner, message_id, user_id))
            user = user_id or turn.user_id
            row: dict[str, Any] = {"id": f"bookmark_{secrets.token_hex(16)}", "owner": owner, "user_id": user}
            row |= {"message_id": turn.message_id, "note": note or "", "tag": tag or "", "message": orjson.dumps(turn)}
            return _bookmark(listing.add_bookmark(db, row | {"created": self._clock()}, _given(note, tag)))

        return await self._database.run(add)

    async def get(self, owner: str, user_id: str, bookmark_id: str) -> Bookmark:
        """Raises UnknownBookmark."""
        return _bookmark(await self._database.read(lambda db: _mine(db, owner, user_id, bookmark_id)))

    async def page(self, owner: str, user_id: str, tag: str | None, query: str, limit: int, after: str | None) -> Page:
        """The newest first. user_id: "" is everyone's. query: stands in the note, the question or the answer.

        after: a bookmark's id. Raises UnknownBookmark for it.
        """
        from server.records import listing

        def read(db: "Connection") -> Page:
            last = _mine(db, owner, user_id, after) if after is not None else None
            found = list[Bookmark]()
            for row in listing.bookmarks_of(db, owner, user_id, tag, last):
                bookmark = _bookmark(row)
                if _says(bookmark, folded(query)):
                    found.append(bookmark)
                if len(found) > limit:
                    break
            return Page(found[:limit], len(found) > limit)

        return await self._database.read(read)

    async def change(self, owner: str, user_id: str, bookmark_id: str, note: str | None, tag: str | None) -> Bookmark:
        """None leaves as it is. Raises UnknownBookmark."""
        from server.records import listing

        def change(db: "Connection") -> Bookmark:
            row = _mine(db, owner, user_id, bookmark_id)
            listing.change_bookmark(db, row["id"], _given(note, tag))
            return _bookmark(_mine(db, owner, user_id, bookmark_id))

        return await self._database.run(change)

    async def delete(self, owner: str, user_id: str, bookmark_id: str) -> None:
        """Raises UnknownBookmark."""
        from server.records.deleting import delete_bookmark

        def remove(db: "Connection") -> None:
            row = _mine(db, owner, user_id, bookmark_id)
            delete_bookmark(db, row["id"])

        await self._database.run(remove, grows=False)


def _given(note: str | None, tag: str | None) -> dict[str, str]:
    return {name: value for name, value in (("note", note), ("tag", tag)) if value is not None}


def _says(bookmark: Bookmark, query: str) -> bool:
    return not query or query in folded(f"{bookmark.note}\n{bookmark.turn.question}\n{bookmark.turn.answer}")


def _bookmark(row: Any) -> Bookmark:
    return Bookmark(row["id"], row["user_id"], row["created"], row["note"], row["tag"], read_turn(row["message"]))


def _mine(db: "Connection", owner: str, user_id: str, bookmark_id: str) -> Any:
    """The row. Raises UnknownBookmark."""
    from server.records import listing, talk

    row = listing.bookmark(db, owner, bookmark_id)
    if row is None or talk.is_anothers(row["user_id"], user_id):
        raise UnknownBookmark(f"no bookmark {bookmark_id[:128]!r}")
    return row
