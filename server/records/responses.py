"""Responses that were kept: with the items that were asked, so that a later request can go on from them."""

from dataclasses import dataclass
from typing import Any

import orjson

from server.records.database import RecordsDatabase
from server.records.deleting import delete_response
from server.records.errors import UnknownItem, UnknownResponse

LONGEST_CHAIN = 256
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

    async def conversation(self, owner: str, response_id: str | None) -> list[Json]:
        """Input and output items of that response and of all before it, the oldest first.

        Raises UnknownResponse, also where one of those before it was deleted.
        """
        chain: list[Stored] = []
        while response_id is not None and len(chain) < LONGEST_CHAIN:
            chain.append(await self.get(owner, response_id, "previous_response_id"))
            response_id = chain[-1].previous_id
        return [item for stored in reversed(chain) for item in (*stored.input, *stored.response["output"])]

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


def _unknown(response_id: str, param: str = "response_id") -> UnknownResponse:
    return UnknownResponse(f"no response {response_id[:100]!r}", param)
