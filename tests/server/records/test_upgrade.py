import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, inspect
from sqlalchemy.engine.interfaces import ReflectedIndex

from retrieval.database.engine import Database, sqlite_url
from retrieval.database.errors import NewerDatabase
from retrieval.database.migration import upgrade
from server.records.database import FILENAME, RecordsDatabase
from server.records.migrations import MIGRATIONS
from server.records.responses import Responses
from server.records.sessions import Sessions
from server.records.tables import METADATA
from server.records.turns import Turns
from tests.databases import old_data_folder
from tests.server.records.test_turns import TURN

# What ragpod ran before Alembic, one script a PRAGMA user_version.
OLD_SCRIPTS = (
    """
    CREATE TABLE turns (
        trace_id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        session_id TEXT NOT NULL,
        created REAL NOT NULL,
        turn BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX turns_of_session ON turns (owner, session_id, created);
    CREATE TABLE file_batches (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        store_id TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        file_ids TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE responses (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        created_at REAL NOT NULL,
        previous_id TEXT,
        input BLOB NOT NULL,
        response BLOB NOT NULL
    ) STRICT;
    """,
    "DROP TABLE file_batches;",
    """
    ALTER TABLE responses ADD COLUMN trace_id TEXT;
    UPDATE responses SET trace_id = json_extract(CAST(response AS TEXT), '$.ragpod.trace_id')
        WHERE json_valid(CAST(response AS TEXT));
    CREATE INDEX responses_of_turn ON responses (trace_id);
    CREATE TABLE leftovers (due INTEGER NOT NULL) STRICT;
    INSERT INTO leftovers VALUES (1);
    """,
)
# Of the two responses of the old folder, in the order of their ids.
TRACES = ("trace_ba77757e9b642b14187f99d3f5c27a62", "trace_90d3bb6ca35a3ef0106e0cefaea4d631")


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    return old_data_folder(tmp_path / "old")


def content(path: Path) -> dict[str, list[Any]]:
    """The rows of every table, but of the version's."""
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in names}
    return {name: rows[name] for name in names if name != MIGRATIONS.table}


def schema(database: Database) -> dict[str, Any]:
    """Columns and indexes of every table, as the database tells them."""
    with database.read() as connection:
        told = inspect(connection)
        return {
            table: [
                [(each["name"], str(each["type"])) for each in told.get_columns(table)],
                told.get_pk_constraint(table)["constrained_columns"],
                [_index(each) for each in told.get_indexes(table)],
            ]
            for table in told.get_table_names()
        }


def _index(told: ReflectedIndex) -> Any:
    """What is in it only where something holds is no value, but a clause."""
    return {**told, "dialect_options": {name: str(clause) for name, clause in told.get("dialect_options", {}).items()}}


def learned(turn: bytes) -> tuple[Any, ...]:
    """What the row of a session's only turn says besides: user, message, what it follows, depth, words."""
    said = json.loads(turn)
    return ("", said["message_id"], None, 1, f"{said['question']}\n{said['answer']}".casefold())


@pytest.fixture
def fresh(database_url: URL) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        assert upgrade(database, MIGRATIONS)
        yield database


def test_the_migrations_end_at_the_tables_of_the_code(fresh: Database) -> None:
    with fresh.write() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": MIGRATIONS.table, "compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_the_names_of_the_scripts_are_their_revisions() -> None:
    folder = str(MIGRATIONS.folder)
    scripts = ScriptDirectory(folder, version_locations=[folder])
    assert [each.revision for each in scripts.walk_revisions()] == MIGRATIONS.revisions[::-1]


async def test_a_folder_of_before_alembic_reads_back_whole_and_is_upgraded_once(old_folder: Path) -> None:
    path = old_folder / FILENAME
    before, files = content(path), []
    for _ in range(2):
        database = await RecordsDatabase.open(old_folder)
        await database.close()
        files.append(path.read_bytes())
        after = content(path)
        assert [row[:7] for row in after["turns"]] == [(*row, None, None) for row in before["turns"]]  # held by nobody
        assert [row[7:] for row in after["turns"]] == [learned(row[4]) for row in before["turns"]]
        assert [row[:6] for row in after["responses"]] == before["responses"]
        assert [row[6:] for row in after["responses"]] == [(trace_id,) for trace_id in TRACES]
    assert len(before["turns"]) == 3
    assert len(before["responses"]) == 2
    assert files[0] == files[1]


async def test_turns_and_responses_of_before_alembic_can_be_asked_for_and_gone_on_from(old_folder: Path) -> None:
    database = await RecordsDatabase.open(old_folder)
    turns, responses = Turns(database), Responses(database)
    turn = await turns.get("default", "trace_bb0b8d66fe3666d2eb5d87d0d232b78d")
    assert turn.question == "배송은 며칠 걸리나요?"
    assert turn.sources
    items = await responses.conversation("default", "resp_3344c3e82d6fd812e115ec5a5548ff39", 2)
    assert [item["content"][0]["text"] for item in items if item["type"] == "message"] == [
        "배송은 며칠 걸리나요?",
        "Hello world",
        "제주도는요?",
        "Hello world",
    ]
    await database.close()


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_every_version_before_alembic_ends_at_the_same_tables(tmp_path: Path, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db")) as old:
        for number, script in enumerate(OLD_SCRIPTS[:version], 1):
            old.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
        old.execute("INSERT INTO turns VALUES ('trace_1', 'alice', 'session_1', 1.5, x'7b7d')")
        old.commit()
    with (
        closing(Database(sqlite_url(tmp_path / "old.db"))) as upgraded,
        closing(Database(sqlite_url(tmp_path / "new.db"))) as fresh,
    ):
        assert [upgrade(upgraded, MIGRATIONS), upgrade(upgraded, MIGRATIONS)] == [True, False]
        upgrade(fresh, MIGRATIONS)
        assert schema(upgraded) == schema(fresh)
    kept = ("trace_1", "alice", "session_1", 1.5, b"{}", None, None, "", "", None, 1, "\n")
    assert content(tmp_path / "old.db")["turns"] == [kept]


async def test_the_turns_of_one_session_become_a_conversation_that_goes_on(tmp_path: Path) -> None:
    """As kept by the version before there were sessions; one question alone is none until it is gone on from."""
    path, scripts = tmp_path / FILENAME, tmp_path / "before"
    shutil.copytree(MIGRATIONS.folder, scripts, ignore=shutil.ignore_patterns("0006*", "__pycache__"))
    with closing(Database(sqlite_url(path))) as database:
        upgrade(database, replace(MIGRATIONS, folder=scripts))
    said = [("s1", "배송은?", "이틀"), ("s1", "제주는?", "나흘"), ("s2", "반품은?", "7일")]
    with closing(sqlite3.connect(path)) as old:
        for number, (session, question, answer) in enumerate(said):
            turn = {
                "trace_id": f"trace_{number}",
                "session_id": session,
                "message_id": f"msg_{number}",
                "owner": "alice",
            }
            turn |= {
                "created": float(number),
                "model": "ragpod",
                "generator": "x",
                "store_ids": [],
                "status": "complete",
            }
            turn |= {"question": question, "search_question": question, "answer": answer, "finish_reason": "stop"}
            turn |= {"no_evidence": False, "labels": {"user": "u7"} if session == "s1" else {}}
            row = (f"trace_{number}", "alice", session, float(number), json.dumps(turn).encode())
            old.execute("INSERT INTO turns (trace_id, owner, session_id, created, turn) VALUES (?, ?, ?, ?, ?)", row)
        old.commit()
    database = await RecordsDatabase.open(tmp_path)
    sessions, turns = Sessions(database), Turns(database)
    page = await sessions.page("alice", "u7", "", 10, None)
    assert [(each.id, each.title, each.messages, each.last_message) for each in page.items] == [
        ("s1", "배송은?", 4, "나흘")
    ]
    _, exchanges = await sessions.exchanges("alice", "s1")
    assert [(each.turn.question, each.turn.answer) for each in exchanges.items] == [
        ("배송은?", "이틀"),
        ("제주는?", "나흘"),
    ]
    _, earlier = await turns.enter(replace(TURN, trace_id="trace_9", session_id="s2", in_session=True), None, 5)
    assert [turn.question for turn in earlier] == ["반품은?"]
    assert (await sessions.get("alice", "s2")).messages == 4
    await database.close()


async def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILENAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerDatabase, match="use a newer ragpod"):
        await RecordsDatabase.open(tmp_path)


def test_a_ragpod_from_before_alembic_refuses_the_upgraded_file(old_folder: Path) -> None:
    """As it did: by the pragma."""
    with closing(Database(sqlite_url(old_folder / FILENAME))) as database:
        upgrade(database, MIGRATIONS)
    with closing(sqlite3.connect(old_folder / FILENAME)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    assert version > len(OLD_SCRIPTS)
