"""Responses that were kept: with the items that were asked, so that a later request can go on from them."""

from dataclasses import dataclass
from typing import Any

import orjson

from server.http.errors import ApiError, not_found
from server.openai.chat.tools import Json
from server.records.database import Database

LONGEST_CHAIN = 256


@dataclass(frozen=True, slots=True)
class Stored:
    """input: the items of the request, with their ids. response: with every extra, asked for or not."""

    id: str
    previous_id: str | None
    input: list[Json]
    response: Json


class Responses:
    """Every call takes the owner: another owner's id is as unknown as one that never was."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, owner: str, stored: Stored) -> None:
        created, content = stored.response["created_at"], orjson.dumps(stored.response)
        row = (stored.id, owner, created, stored.previous_id, orjson.dumps(stored.input), content)
        await self._database.run(lambda db: db.execute("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?)", row))

    async def get(self, owner: str, response_id: str, param: str = "response_id") -> Stored:
        """Raises ApiError (404)."""
        query = "SELECT id, previous_id, input, response FROM responses WHERE id = ? AND owner = ?"
        row = await self._database.run(lambda db: db.execute(query, (response_id, owner)).fetchone())
        if row is None:
            raise unknown(response_id, param)
        return _stored(row)

    async def delete(self, owner: str, response_id: str) -> None:
        """Raises ApiError (404)."""
        query = "DELETE FROM responses WHERE id = ? AND owner = ?"
        gone = await self._database.run(lambda db: db.execute(query, (response_id, owner)).rowcount)
        if not gone:
            raise unknown(response_id)

    async def conversation(self, owner: str, response_id: str | None) -> list[Json]:
        """Input and output items of that response and of all before it, the oldest first.

        Raises ApiError (404), also where one of those before it was deleted.
        """
        chain: list[Stored] = []
        while response_id is not None and len(chain) < LONGEST_CHAIN:
            chain.append(await self.get(owner, response_id, "previous_response_id"))
            response_id = chain[-1].previous_id
        return [item for stored in reversed(chain) for item in (*stored.input, *stored.response["output"])]

    async def referred(self, owner: str, items: list[Json]) -> list[Json]:
        """Each item_reference replaced by the item, its id kept. Raises ApiError (404).

        An id of ours tells the response: prefix, underscore, 32 digits of the response, its place there.
        """
        return [await self._referred(owner, item) if item["type"] == "item_reference" else item for item in items]

    async def _referred(self, owner: str, reference: Json) -> Json:
        identity: str = reference["id"]
        try:
            stored = await self.get(owner, f"resp_{identity.partition('_')[2][:32]}")
        except ApiError:
            raise not_found(f"no item {identity[:100]!r}", "item_not_found", "input") from None
        items: list[Json] = [*stored.input, *stored.response["output"]]
        if found := next((item for item in items if item["id"] == identity), None):
            return found
        raise not_found(f"no item {identity[:100]!r}", "item_not_found", "input")


def unknown(response_id: str, param: str = "response_id") -> ApiError:
    return not_found(f"no response {response_id[:100]!r}", "response_not_found", param)


def _stored(row: Any) -> Stored:
    return Stored(row[0], row[1], orjson.loads(row[2]), orjson.loads(row[3]))
