"""Responses that were kept: with the items that were asked, so that a later request can go on from them."""

import sqlite3
from dataclasses import dataclass
from typing import Any

import orjson

from server.records.database import RecordsDatabase
from server.records.deleting import delete_response
from server.records.errors import ChainTooLong, UnknownItem, UnknownResponse

PREVIOUS = "previous_response_id"
# One more than may be read, so that a longer chain is known from one that just fits. Previous id, input, response.
_CHAIN = """
WITH RECURSIVE chain (id, previous_id, depth) AS (
    SELECT id, previous_id, 0 FROM responses WHERE id = ? AND owner = ?
    UNION ALL
    SELECT earlier.id, earlier.previous_id, depth + 1
    FROM chain JOIN responses AS earlier ON earlier.id = chain.previous_id AND earlier.owner = ?
    WHERE depth < ?
)
SELECT chain.previous_id, input, response FROM chain JOIN responses USING (id) ORDER BY depth DESC
"""
_INSERT = """
INSERT INTO responses (id, owner, created_at, previous_id, input, response, trace_id) VALUES (?, ?, ?, ?, ?, ?, ?)
"""
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """input: the items of the request, with their ids. response: with every extra, asked for or not.

    trace_id: of the turn that was kept of the same answer; None where an early version did not say.
    """

    id: str
    previous_id: str | None
    input: list[Json]
    response: Json
    trace_id: str | None = None


class Responses:
    """Every call takes the owner: another owner's id is as unknown as one that never was."""

    def __init__(self, database: RecordsDatabase) -> None:
        self._database = database

    async def save(self, owner: str, stored: Stored) -> None:
        created, content = stored.response["created_at"], orjson.dumps(stored.response)
        row = (stored.id, owner, created, stored.previous_id, orjson.dumps(stored.input), content, stored.trace_id)
        await self._database.run(lambda db: db.execute(_INSERT, row))

    async def get(self, owner: str, response_id: str, param: str = "response_id") -> Stored:
        """param: the request's name for the id. Raises UnknownResponse."""
        query = "SELECT id, previous_id, input, response, trace_id FROM responses WHERE id = ? AND owner = ?"
        row = await self._database.run(lambda db: db.execute(query, (response_id, owner)).fetchone())
        if row is None:
            raise _unknown(response_id, param)
        return Stored(row[0], row[1], orjson.loads(row[2]), orjson.loads(row[3]), row[4])

    async def delete(self, owner: str, response_id: str) -> None:
        """With the turn of the same answer. Raises UnknownResponse."""
        if not await self._database.run(lambda db: delete_response(db, owner, response_id)):
            raise _unknown(response_id)

    async def conversation(self, owner: str, response_id: str | None, longest: int) -> list[Json]:
        """Input and output items of that response and of all before it, the oldest first; of `longest` at most.

        Raises ChainTooLong, and UnknownResponse, also where one of those before it was deleted.
        """
        if response_id is None:
            return []
        first = response_id

        def read(db: sqlite3.Connection) -> list[Json]:
            """All in the database's thread: a long conversation is megabytes of JSON."""
            rows = db.execute(_CHAIN, (first, owner, owner, longest)).fetchall()
            if len(rows) > longest:
                why = f"more than {longest} responses come before this one: begin anew, and say in `input` what counts"
                raise ChainTooLong(why, PREVIOUS)
            missing = rows[0][0] if rows else first
            if missing is not None:
                raise _unknown(missing, PREVIOUS)
            return [item for _, *parts in rows for item in _items(*parts)]

        return await self._database.run(read)

    async def referred(self, owner: str, items: list[Json]) -> list[Json]:
        """Each item_reference replaced by the item, its id kept. Raises UnknownItem.

        An id of ours tells the response: prefix, underscore, 32 digits of the response, its place there.
        """
        return [await self._referred(owner, item) if item["type"] == "item_reference" else item for item in items]

    async def _referred(self, owner: str, reference: Json) -> Json:
        identity: str = reference["id"]
        unknown = UnknownItem(f"no item {identity[:100]!r}", "input")
        try:
            stored = await self.get(owner, f"resp_{identity.partition('_')[2][:32]}")
        except UnknownResponse:
            raise unknown from None
        items: list[Json] = [*stored.input, *stored.response["output"]]
        if found := next((item for item in items if item["id"] == identity), None):
            return found
        raise unknown


def _items(given: bytes, response: bytes) -> list[Json]:
    """Of one response, as they are stored."""
    return [*orjson.loads(given), *orjson.loads(response)["output"]]


def _unknown(response_id: str, param: str = "response_id") -> UnknownResponse:
    return UnknownResponse(f"no response {response_id[:100]!r}", param)
