"""Responses that were kept: with the items that were asked, so that a later request can go on from them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from server.records.database import RecordsDatabase
from server.records.errors import ChainTooLong, UnknownItem, UnknownResponse

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, Connection, Select, Table

PREVIOUS = "previous_response_id"
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
        from sqlalchemy import bindparam, insert, select

        from server.records.tables import responses

        self._database = database
        columns = responses.c
        self._insert = insert(responses)
        self._select = select(columns.id, columns.previous_id, columns.input, columns.response, columns.trace_id).where(
            columns.id == bindparam("named"), columns.owner == bindparam("of_owner")
        )
        self._chain = _chain(responses)

    async def save(self, owner: str, stored: Stored) -> None:
        row = {
            "id": stored.id,
            "owner": owner,
            "created_at": stored.response["created_at"],
            "previous_id": stored.previous_id,
            "input": orjson.dumps(stored.input),
            "response": orjson.dumps(stored.response),
            "trace_id": stored.trace_id,
        }
        await self._database.run(lambda db: db.execute(self._insert, row))

    async def get(self, owner: str, response_id: str, param: str = "response_id") -> Stored:
        """param: the request's name for the id. Raises UnknownResponse."""
        mine = {"named": response_id, "of_owner": owner}
        row = await self._database.read(lambda db: db.execute(self._select, mine).first())
        if row is None:
            raise _unknown(response_id, param)
        return Stored(row[0], row[1], orjson.loads(row[2]), orjson.loads(row[3]), row[4])

    async def delete(self, owner: str, response_id: str) -> None:
        """With the turn of the same answer. Raises UnknownResponse."""
        from server.records.deleting import delete_response

        if not await self._database.run(lambda db: delete_response(db, owner, response_id), grows=False):
            raise _unknown(response_id)

    async def conversation(self, owner: str, response_id: str | None, longest: int) -> list[Json]:
        """Input and output items of that response and of all before it, the oldest first; of `longest` at most.

        Raises ChainTooLong, and UnknownResponse, also where one of those before it was deleted.
        """
        if response_id is None:
            return []
        first, mine = response_id, {"named": response_id, "of_owner": owner, "longest": longest}

        def read(db: "Connection") -> list[Json]:
            """All in the database's thread: a long conversation is megabytes of JSON."""
            rows = db.execute(self._chain, mine).all()
            if len(rows) > longest:
                why = f"more than {longest} responses come before this one: begin anew, and say in `input` what counts"
                raise ChainTooLong(why, PREVIOUS)
            missing = rows[0][0] if rows else first
            if missing is not None:
                raise _unknown(missing, PREVIOUS)
            return [item for _, *parts in rows for item in _items(*parts)]

        return await self._database.read(read)

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


def _chain(responses: "Table") -> "Select[Any]":
    """Previous id, input and response, the oldest first.

    One more than may be read, so that a longer chain is known from one that just fits.
    """
    from sqlalchemy import Integer, bindparam, literal, select

    start, earlier = responses.c, responses.alias("earlier")
    owner: BindParameter[str] = bindparam("of_owner")
    named = select(start.id, start.previous_id, literal(0, Integer).label("depth")).where(
        start.id == bindparam("named"), start.owner == owner
    )
    chain = named.cte("chain", recursive=True)
    before = (
        select(earlier.c.id, earlier.c.previous_id, chain.c.depth + 1)
        .join(chain, earlier.c.id == chain.c.previous_id)
        .where(earlier.c.owner == owner, chain.c.depth < bindparam("longest", type_=Integer))
    )
    whole = chain.union_all(before)
    content = select(whole.c.previous_id, start.input, start.response).join(responses, start.id == whole.c.id)
    return content.order_by(whole.c.depth.desc())


def _unknown(response_id: str, param: str = "response_id") -> UnknownResponse:
    return UnknownResponse(f"no response {response_id[:100]!r}", param)
