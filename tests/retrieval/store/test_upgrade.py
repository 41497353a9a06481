"""What becomes of the store's database of any version before Alembic."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from retrieval.database.engine import Database, sqlite_url
from retrieval.database.errors import NewerDatabase, StoreConflict
from retrieval.database.migration import upgrade
from retrieval.store.migrations import MIGRATIONS
from tests.databases import old_data_folder
from tests.retrieval.store.old_databases import BEFORE_ALEMBIC, FILENAME, as_it_becomes, old_database, rows


@pytest.fixture(params=["42c3512", "cf3180e", *BEFORE_ALEMBIC])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A database: of a data folder that a server left, or of every version."""
    if isinstance(request.param, str):
        return old_data_folder(tmp_path / "old", request.param) / FILENAME
    return old_database(tmp_path / FILENAME, request.param)


def upgraded(path: Path) -> bool:
    with closing(Database(sqlite_url(path))) as database:
        return upgrade(database, MIGRATIONS)


def test_no_row_and_no_number_is_lost(old: Path) -> None:
    before = rows(old)
    assert upgraded(old)
    assert rows(old) == as_it_becomes(before)


def test_what_is_upgraded_is_sound_and_the_same_as_a_new_one(old: Path, tmp_path: Path) -> None:
    upgraded(old)
    upgraded(tmp_path / "new.db")
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert sqlite_schema(old) == sqlite_schema(tmp_path / "new.db")


def sqlite_schema(path: Path) -> dict[str, Any]:
    """As SQLite tells it: columns in their order, STRICT and WITHOUT ROWID, indexes, foreign keys; other objects."""
    with closing(sqlite3.connect(path)) as connection:

        def told(pragma: str, of: str) -> list[Any]:
            return connection.execute(f"SELECT * FROM pragma_{pragma}(?)", (of,)).fetchall()

        made = dict(connection.execute("SELECT name, type FROM sqlite_master").fetchall())
        found: dict[str, Any] = {name: told("index_xinfo", name) for name, kind in made.items() if kind == "index"}
        for name, kind in made.items():
            if kind == "table":
                pragmas = ("table_list", "table_info", "index_list", "foreign_key_list")
                found[name] = [told(pragma, name) for pragma in pragmas]
        return made | found


def test_a_new_file_gets_a_number_that_none_had(old: Path) -> None:
    upgraded(old)
    new = "INSERT INTO files (id, owner, filename, media_type, purpose, sha256, bytes, created_at)"
    new += " VALUES ('file-new', 'ann', 'new.txt', '', '', 'ff', 0, 5) RETURNING n"
    with closing(sqlite3.connect(old)) as connection:
        (highest,) = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'files'").fetchone()
        assert connection.execute(new).fetchone() == (highest + 1,)


def test_the_indexes_on_disk_are_within_reach_of_their_logs(tmp_path: Path) -> None:
    folder = old_data_folder(tmp_path / "old", "cf3180e")
    upgraded(folder / FILENAME)
    stores = {store["id"]: store for store in rows(folder / FILENAME)["vector_stores"]}
    applied = [(path.parent.name, int(path.read_text())) for path in folder.glob("indexes/*/*.seq")]
    assert len(applied) == 4
    assert all(stores[each]["log_floor"] <= seq <= stores[each]["head"] for each, seq in applied)


def test_an_upgraded_file_is_upgraded_once(old: Path) -> None:
    assert upgraded(old)
    before = old.read_bytes()
    assert not upgraded(old)
    assert old.read_bytes() == before


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from retrieval.database.engine import Database, sqlite_url
from retrieval.database.migration import upgrade
from retrieval.store.migrations import MIGRATIONS

@event.listens_for(Engine, "before_cursor_execute")
def kill(connection, cursor, statement, *more):
    if sys.argv[2] in statement:
        os.kill(os.getpid(), signal.SIGKILL)

upgrade(Database(sqlite_url(Path(sys.argv[1]))), MIGRATIONS)
"""


@pytest.mark.parametrize("before", ["DROP TABLE files", "DROP TABLE contents", "foreign_key_check", "user_version ="])
def test_an_upgrade_that_is_killed_leaves_the_old_one_whole(tmp_path: Path, before: str) -> None:
    """By then a content of 3 MB was copied, so part of the new tables is on disk."""
    path = old_database(tmp_path / FILENAME, 5)
    as_it_was, schema = rows(path), sqlite_schema(path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path), before], check=False, timeout=60)
    assert killed.returncode == -9
    assert (rows(path), sqlite_schema(path)) == (as_it_was, schema)
    assert upgraded(path)
    assert rows(path) == as_it_becomes(as_it_was)


def test_a_file_with_a_reference_to_nothing_is_not_upgraded(tmp_path: Path) -> None:
    path = old_database(tmp_path / FILENAME, 5)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM documents WHERE n = 1")
        connection.commit()
    as_it_was = rows(path)
    with pytest.raises(StoreConflict, match="a row of chunks refers to a row of documents that is not there"):
        upgraded(path)
    assert rows(path) == as_it_was


def test_a_file_of_a_later_version_than_ragpod_had_before_alembic_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILENAME)) as connection:
        connection.execute(f"PRAGMA user_version = {BEFORE_ALEMBIC.stop}")
    with pytest.raises(NewerDatabase, match="use a newer ragpod"):
        upgraded(tmp_path / FILENAME)


def test_a_ragpod_from_before_alembic_refuses_the_upgraded_file(old: Path) -> None:
    """As it did: by the pragma."""
    upgraded(old)
    with closing(sqlite3.connect(old)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    assert version >= BEFORE_ALEMBIC.stop
