"""Responses on both databases; their chains, which are read whole in one statement, or refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import URL, Engine, event

from server.records.database import RecordsDatabase
from server.records.errors import ChainTooLong, UnknownItem, UnknownResponse
from server.records.responses import Responses, Stored

LINKS = 300


@pytest.fixture
async def responses(database_url: URL) -> AsyncIterator[Responses]:
    database = await RecordsDatabase.at(database_url)
    yield Responses(database)
    await database.close()


def identity(prefix: str, number: int, place: int | None = None) -> str:
    return f"{prefix}_{number:032}" + ("" if place is None else f"{place}")


def stored(number: int, previous: int | None = None) -> Stored:
    """With one item that was asked and one that answers."""
    asked: dict[str, Any] = {"id": identity("msg", number, 0), "type": "message", "text": f"질문 {number}"}
    answer: dict[str, Any] = {"id": identity("msg", number, 1), "type": "message", "text": f"답 {number}"}
    response = {"id": identity("resp", number), "created_at": 1_795_824_924, "output": [answer]}
    return Stored(
        id=identity("resp", number),
        previous_id=None if previous is None else identity("resp", previous),
        input=[asked],
        response=response,
    )


async def test_a_stored_response_comes_back_as_it_was(responses: Responses) -> None:
    for each in (stored(1), stored(2, 1)):
        await responses.save("alice", each)
        assert await responses.get("alice", each.id) == each


@pytest.mark.parametrize("owner", ["bob", ""])
async def test_another_owners_response_is_as_unknown_as_one_that_never_was(responses: Responses, owner: str) -> None:
    await responses.save("alice", stored(1))
    for call in (responses.get, responses.delete):
        with pytest.raises(UnknownResponse, match="no response"):
            await call(owner, identity("resp", 1))
    assert await responses.get("alice", identity("resp", 1)) == stored(1)


@pytest.mark.parametrize("response_id", [identity("resp", 2), "", "resp_\0", "응답"])
async def test_an_id_that_is_none_is_unknown(responses: Responses, response_id: str) -> None:
    for call in (responses.get, responses.delete):
        with pytest.raises(UnknownResponse, match="no response"):
            await call("alice", response_id)
    with pytest.raises(UnknownResponse, match="no response"):
        await responses.conversation("alice", response_id, LINKS)


async def test_a_deleted_response_is_gone_and_what_went_on_from_it_stays(responses: Responses) -> None:
    for each in (stored(1), stored(2, 1)):
        await responses.save("alice", each)
    await responses.delete("alice", identity("resp", 1))
    assert await responses.get("alice", identity("resp", 2)) == stored(2, 1)
    for call in (responses.get, responses.delete):
        with pytest.raises(UnknownResponse):
            await call("alice", identity("resp", 1))


@pytest.fixture
async def chain(responses: Responses) -> Responses:
    """Of 300 responses, the last one resp_299."""
    for number in range(LINKS):
        previous = f"resp_{number - 1}" if number else None
        response = {"created_at": number, "output": [{"id": f"a{number}"}]}
        await responses.save("alice", Stored(f"resp_{number}", previous, [{"id": f"q{number}"}], response))
    return responses


async def test_a_chain_has_its_beginning_however_long_it_is(chain: Responses) -> None:
    items = await chain.conversation("alice", "resp_299", LINKS)
    assert [item["id"] for item in items] == [f"{kind}{number}" for number in range(LINKS) for kind in "qa"]


async def test_it_is_read_in_one_statement(chain: Responses) -> None:
    statements: list[str] = []

    def seen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", seen)
    await chain.conversation("alice", "resp_299", LINKS)
    event.remove(Engine, "before_cursor_execute", seen)
    assert len([statement for statement in statements if statement != "BEGIN"]) == 1


async def test_one_that_is_longer_than_may_be_asked_is_refused_never_cut(chain: Responses) -> None:
    with pytest.raises(ChainTooLong, match="299") as refused:
        await chain.conversation("alice", "resp_299", LINKS - 1)
    assert refused.value.param == "previous_response_id"
    assert len(await chain.conversation("alice", "resp_298", LINKS - 1)) == 2 * (LINKS - 1)


@pytest.mark.parametrize("gone", [0, 150, 299])
async def test_one_that_has_lost_a_link_is_unknown(chain: Responses, gone: int) -> None:
    await chain.delete("alice", f"resp_{gone}")
    with pytest.raises(UnknownResponse, match=f"resp_{gone}") as refused:
        await chain.conversation("alice", "resp_299", LINKS)
    assert refused.value.param == "previous_response_id"


async def test_another_owners_chain_is_unknown_and_no_chain_is_empty(chain: Responses) -> None:
    with pytest.raises(UnknownResponse, match="resp_299"):
        await chain.conversation("bob", "resp_299", LINKS)
    assert await chain.conversation("bob", None, LINKS) == []


async def test_a_reference_is_replaced_by_its_item(responses: Responses) -> None:
    await responses.save("alice", stored(1))
    own = {"type": "message", "id": "mine"}
    for place, text in enumerate(("질문 1", "답 1")):
        reference = {"type": "item_reference", "id": identity("msg", 1, place)}
        found = await responses.referred("alice", [own, reference])
        assert found[0] == own
        assert found[1]["text"] == text


@pytest.mark.parametrize("item_id", [identity("msg", 1, 7), identity("msg", 2, 0), "msg", "msg_\0", ""])
async def test_a_reference_to_nothing_is_an_unknown_item(responses: Responses, item_id: str) -> None:
    await responses.save("alice", stored(1))
    with pytest.raises(UnknownItem, match="no item"):
        await responses.referred("alice", [{"type": "item_reference", "id": item_id}])
