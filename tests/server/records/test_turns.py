import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import URL

from retrieval.database.errors import StoreConflict
from server.records.database import RecordsDatabase
from server.records.errors import UnknownTurn
from server.records.turn import Status, Turn
from server.records.turns import Turns
from tests.databases import Time

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


RUNNING = replace(TURN, status=Status.RUNNING, answer="", degraded=(), citations=[])


async def test_a_turn_is_there_while_it_runs_and_whole_when_it_has_ended(turns: Turns) -> None:
    await turns.begin(RUNNING)
    assert await turns.get("alice", "trace_1") == RUNNING
    await turns.interrupt()
    assert await turns.get("alice", "trace_1") == RUNNING
    await turns.end(TURN)
    assert await turns.get("alice", "trace_1") == TURN


async def test_a_turn_that_was_deleted_while_it_ran_stays_deleted(turns: Turns) -> None:
    await turns.begin(RUNNING)
    await turns.delete("alice", "trace_1")
    await turns.end(TURN)
    with pytest.raises(UnknownTurn):
        await turns.get("alice", "trace_1")


async def test_the_next_start_of_a_server_marks_what_it_left_and_nothing_of_another_server(database_url: URL) -> None:
    database = await RecordsDatabase.at(database_url)
    first, other = Turns(database, "a"), Turns(database, "ab")
    await first.begin(RUNNING)
    await other.begin(replace(RUNNING, trace_id="trace_2"))
    await first.save(replace(TURN, trace_id="trace_3"))
    again = Turns(database, "a")
    await again.begin(replace(RUNNING, trace_id="trace_4"))
    await again.interrupt()
    found = {number: (await again.get("alice", f"trace_{number}")).status for number in (1, 2, 3, 4)}
    assert found == {1: Status.INTERRUPTED, 2: Status.RUNNING, 3: Status.CANCELLED, 4: Status.RUNNING}
    assert await again.get("alice", "trace_1") == replace(RUNNING, status=Status.INTERRUPTED)
    await database.close()


async def test_a_turn_whose_server_never_came_back_is_marked_by_another_one_when_its_time_is_over(
    database_url: URL,
) -> None:
    database, clock = await RecordsDatabase.at(database_url), Time()
    gone, here = Turns(database, "gone", 60.0, clock), Turns(database, "here", 60.0, clock)
    await gone.begin(RUNNING)
    clock.now += 59
    await here.interrupt()
    assert (await here.get("alice", "trace_1")).status is Status.RUNNING
    clock.now += 2
    await here.interrupt()
    assert (await here.get("alice", "trace_1")).status is Status.INTERRUPTED
    await gone.end(TURN)  # it was only slow
    assert await here.get("alice", "trace_1") == TURN
    await here.interrupt()
    assert await here.get("alice", "trace_1") == TURN
    await database.close()


async def test_many_answers_that_end_at_once_are_all_kept(turns: Turns) -> None:
    ended = [replace(TURN, trace_id=f"trace_{number}") for number in range(50)]
    await asyncio.gather(*map(turns.save, ended))
    assert list(await asyncio.gather(*(turns.get("alice", turn.trace_id) for turn in ended))) == ended
