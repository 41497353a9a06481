import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import URL

from retrieval.database.errors import StoreConflict
from server.records.database import RecordsDatabase
from server.records.errors import UnknownTurn
from server.records.turns import Status, Turn, Turns

TURN = Turn(
    trace_id="trace_1",
    session_id="session_1",
    message_id="msg_1",
    owner="alice",
    created=1.5,
    model="ragpod",
    generator="stub",
    store_ids=("vs_1",),
    status=Status.CANCELLED,
    question="배송은?",
    search_question="배송은?",
    answer="이틀 [1",
    finish_reason=None,
    no_evidence=False,
    degraded=("rerank: timeout",),
    citations=[{"marker": 1, "start": 0, "end": 3}],
)


@pytest.fixture
async def turns(database_url: URL) -> AsyncIterator[Turns]:
    database = await RecordsDatabase.at(database_url)
    yield Turns(database)
    await database.close()


async def test_a_stored_turn_comes_back_as_it_was(turns: Turns) -> None:
    await turns.save(TURN)
    assert await turns.get("alice", "trace_1") == TURN


@pytest.mark.parametrize(
    ("owner", "trace_id"), [("bob", "trace_1"), ("alice", "trace_2"), ("", "trace_1"), ("alice", "trace_1\0")]
)
async def test_another_owners_turn_is_as_unknown_as_one_that_never_was(turns: Turns, owner: str, trace_id: str) -> None:
    await turns.save(TURN)
    with pytest.raises(UnknownTurn, match="no trace"):
        await turns.get(owner, trace_id)


async def test_turns_outlive_the_server(database_url: URL) -> None:
    for number in range(2):
        database = await RecordsDatabase.at(database_url)
        turns = Turns(database)
        await turns.save(replace(TURN, trace_id=f"trace_{number}"))
        assert (await turns.get("alice", "trace_0")).answer == "이틀 [1"
        await database.close()


async def test_a_turn_is_kept_once(turns: Turns) -> None:
    await turns.save(TURN)
    with pytest.raises(StoreConflict):
        await turns.save(replace(TURN, answer="another"))
    assert await turns.get("alice", "trace_1") == TURN


async def test_many_answers_that_end_at_once_are_all_kept(turns: Turns) -> None:
    ended = [replace(TURN, trace_id=f"trace_{number}") for number in range(50)]
    await asyncio.gather(*map(turns.save, ended))
    assert list(await asyncio.gather(*(turns.get("alice", turn.trace_id) for turn in ended))) == ended
