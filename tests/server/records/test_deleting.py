"""What is deleted is deleted everywhere: by row at once, by bytes with the next upkeep."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from sqlalchemy import URL, LargeBinary, bindparam, select, text

from retrieval.database import engine
from retrieval.database.engine import Database
from retrieval.database.migration import upgrade
from server.records.database import RecordsDatabase
from server.records.errors import UnknownResponse, UnknownTurn
from server.records.migrations import MIGRATIONS
from server.records.responses import Responses, Stored
from server.records.tables import responses as table
from server.records.turns import Turns
from server.records.upkeep import RecordsUpkeep
from tests.server.records.test_turns import TURN
from tests.until import PATIENCE, until


@pytest.fixture
async def database(database_url: URL) -> AsyncIterator[RecordsDatabase]:
    opened = await RecordsDatabase.at(database_url)
    yield opened
    await opened.close()


def stored(number: int, trace_id: str | None, previous_id: str | None = None) -> Stored:
    said = [{"id": f"msg_{number}", "type": "message", "text": f"question-{number}"}]
    answer = [{"id": f"msg_{number}a", "type": "message", "text": f"answer-{number}"}]
    return Stored(f"resp_{number}", previous_id, said, {"created_at": number, "output": answer}, trace_id)


async def keep(database: RecordsDatabase, number: int) -> None:
    words = replace(TURN, trace_id=f"trace_{number}", question=f"question-{number}", answer=f"answer-{number}")
    await Turns(database).save(words)
    await Responses(database).save("alice", stored(number, f"trace_{number}"))


async def test_a_response_takes_its_turn_with_it_and_a_turn_its_response(database: RecordsDatabase) -> None:
    turns, responses = Turns(database), Responses(database)
    for number in range(3):
        await keep(database, number)
    await responses.delete("alice", "resp_0")
    await turns.delete("alice", "trace_1")
    for number in range(2):
        with pytest.raises(UnknownTurn):
            await turns.get("alice", f"trace_{number}")
        with pytest.raises(UnknownResponse):
            await responses.get("alice", f"resp_{number}")
    assert (await turns.get("alice", "trace_2")).answer == "answer-2"
    assert (await responses.get("alice", "resp_2")).trace_id == "trace_2"


async def test_another_owner_deletes_nothing_and_gives_the_upkeep_nothing_to_do(database: RecordsDatabase) -> None:
    turns, responses = Turns(database), Responses(database)
    await keep(database, 1)
    await database.scrub()
    for trace_id, response_id in (("trace_1", "resp_1"), ("trace_2", "resp_2")):
        with pytest.raises(UnknownTurn):
            await turns.delete("bob", trace_id)
        with pytest.raises(UnknownResponse):
            await responses.delete("bob", response_id)
    assert not await database.leftovers_due()
    await turns.get("alice", "trace_1")
    await responses.get("alice", "resp_1")


async def test_a_response_that_does_not_know_its_turn_is_deleted_alone(database: RecordsDatabase) -> None:
    await Turns(database).save(TURN)
    await Responses(database).save("alice", stored(1, None))
    await Responses(database).delete("alice", "resp_1")
    assert (await Turns(database).get("alice", "trace_1")).answer == TURN.answer


def bytes_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    return ((path.name, path.read_bytes()) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("way", ["turn", "response"])
async def test_the_upkeep_leaves_no_byte_of_what_was_deleted(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where SQLite is built to overwrite nothing; where it does, it misses the copies of cells that it moved."""
    monkeypatch.setattr(engine, "PRAGMAS", (*engine.PRAGMAS, "secure_delete = OFF"))
    database = await RecordsDatabase.open(tmp_path)
    turns, responses, random = Turns(database), Responses(database), Random(3)
    kept, gone = list[int](), list[int]()
    for number in range(400):
        mark = f"mark-{number:03}-" * random.choice((1, 3, 9, 200))
        await turns.save(replace(TURN, trace_id=f"trace_{number}", question=mark, search_question="", answer=mark))
        said = replace(stored(number, f"trace_{number}"), input=[{"text": mark}])
        await responses.save("alice", replace(said, response={"created_at": 1, "output": [{"text": mark}]}))
        kept.append(number)
        while len(kept) > 1 and random.random() < 0.45:
            gone.append(kept.pop(random.randrange(len(kept))))
            await (
                turns.delete("alice", f"trace_{gone[-1]}")
                if way == "turn"
                else responses.delete("alice", f"resp_{gone[-1]}")
            )
    await RecordsUpkeep(database, Turns(database)).run()
    assert not await database.leftovers_due()
    left = [(name, n) for name, held in bytes_of(tmp_path) for n in gone if f"mark-{n:03}-".encode() in held]
    assert left == []
    for number in kept:
        assert (await turns.get("alice", f"trace_{number}")).answer.startswith(f"mark-{number:03}-")
    await database.close()


async def test_the_upkeep_comes_by_itself_and_after_a_restart_too(tmp_path: Path) -> None:
    database = await RecordsDatabase.open(tmp_path)
    await keep(database, 1)
    await database.scrub()
    await Turns(database).delete("alice", "trace_1")
    await database.close()
    database = await RecordsDatabase.open(tmp_path)
    upkeep = RecordsUpkeep(database, Turns(database), seconds=0.01)
    assert await database.leftovers_due()
    upkeep.start()

    async def done() -> bool:
        return not await database.leftovers_due()

    await until(done, PATIENCE)
    await upkeep.aclose()
    await database.close()
    assert [name for name, held in bytes_of(tmp_path) if b"answer-1" in held] == []


async def test_a_database_of_the_version_before_learns_which_turns_its_responses_have(
    database_url: URL, tmp_path: Path
) -> None:
    """More responses than the migration holds at once."""
    for number in ("0001", "0002", "0003"):
        (script,) = MIGRATIONS.folder.glob(f"{number}_*.py")
        shutil.copy(script, tmp_path)
    says: list[Any] = [{"ragpod": {"trace_id": "trace_1"}}, {}, {"ragpod": None}, {"ragpod": {"trace_id": 7}}, []]
    with closing(Database(database_url)) as old:
        upgrade(old, replace(MIGRATIONS, folder=tmp_path))
        with old.write() as db:
            for number in range(450):
                row = {"id": f"resp_{number:03}", "response": orjson.dumps(says[number % len(says)])}
                insert = "INSERT INTO responses VALUES (:id, 'alice', 1, NULL, :response, :response)"
                db.execute(text(insert).bindparams(bindparam("response", type_=LargeBinary)), row)
    database = await RecordsDatabase.at(database_url)
    turns, responses = Turns(database), Responses(database)
    await turns.save(TURN)
    known = await database.read(lambda db: db.execute(select(table.c.trace_id).order_by(table.c.id)).scalars().all())
    assert known == [None if number % len(says) else "trace_1" for number in range(450)]
    assert await database.leftovers_due()
    await responses.delete("alice", "resp_001")
    assert await turns.get("alice", "trace_1") == TURN
    await responses.delete("alice", "resp_445")
    with pytest.raises(UnknownTurn):
        await turns.get("alice", "trace_1")
    await database.close()
