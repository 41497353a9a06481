from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import URL

from server.records.database import RecordsDatabase
from server.records.errors import UnknownItem, UnknownResponse
from server.records.responses import Responses, Stored


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
    for call in (responses.get, responses.delete, responses.conversation):
        with pytest.raises(UnknownResponse, match="no response"):
            await call("alice", response_id)


async def test_a_deleted_response_is_gone_and_not_continued(responses: Responses) -> None:
    for each in (stored(1), stored(2, 1)):
        await responses.save("alice", each)
    await responses.delete("alice", identity("resp", 1))
    assert await responses.get("alice", identity("resp", 2)) == stored(2, 1)
    for call in (responses.get, responses.delete):
        with pytest.raises(UnknownResponse):
            await call("alice", identity("resp", 1))
    with pytest.raises(UnknownResponse) as refused:
        await responses.conversation("alice", identity("resp", 2))
    assert refused.value.param == "previous_response_id"


async def test_a_conversation_is_all_items_the_oldest_first(responses: Responses) -> None:
    for number in range(1, 5):
        await responses.save("alice", stored(number, number - 1 if number > 1 else None))
    items = await responses.conversation("alice", identity("resp", 4))
    assert [item["text"] for item in items] == [f"{kind} {n}" for n in range(1, 5) for kind in ("질문", "답")]
    assert await responses.conversation("alice", None) == []


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
