"""Chains of responses: read whole in one statement, or refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.records.database import RecordsDatabase
from server.records.errors import ChainTooLong, UnknownResponse
from server.records.responses import Responses, Stored

LINKS = 300


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[RecordsDatabase]:
    opened = await RecordsDatabase.open(tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def chain(database: RecordsDatabase) -> Responses:
    """Of 300 responses, the last one resp_299."""
    responses = Responses(database)
    for number in range(LINKS):
        previous = f"resp_{number - 1}" if number else None
        response = {"created_at": number, "output": [{"id": f"a{number}"}]}
        await responses.save("alice", Stored(f"resp_{number}", previous, [{"id": f"q{number}"}], response))
    return responses


async def test_a_chain_has_its_beginning_however_long_it_is(chain: Responses) -> None:
    items = await chain.conversation("alice", "resp_299", LINKS)
    assert [item["id"] for item in items] == [f"{kind}{number}" for number in range(LINKS) for kind in "qa"]


async def test_it_is_read_in_one_statement(chain: Responses, database: RecordsDatabase) -> None:
    statements: list[str] = []
    await database.run(lambda db: db.set_trace_callback(statements.append))
    await chain.conversation("alice", "resp_299", LINKS)
    await database.run(lambda db: db.set_trace_callback(None))
    assert len([statement for statement in statements if "SELECT" in statement]) == 1


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
