from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import URL, inspect, text
from sqlalchemy.exc import DBAPIError

from retrieval.database.engine import Database, sqlite_url
from retrieval.database.errors import NewerDatabase
from retrieval.database.migration import ALEMBIC_COUNTS, Migrations, sqlite_script, upgrade

SCRIPT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = {revision!r}, {before!r}

def upgrade():
    op.create_table({table!r}, sa.Column("n", sa.Integer, primary_key=True))
    {more}
"""


def migrations(folder: Path, *tables: str, more: str = "") -> Migrations:
    """A script a table; the last one then does `more`."""
    folder.mkdir(exist_ok=True)
    for number, table in enumerate(tables, 1):
        before = f"{number - 1:04}" if number > 1 else None
        last = more if number == len(tables) else ""
        script = SCRIPT.format(revision=f"{number:04}", before=before, table=table, more=last)
        (folder / f"{number:04}_{table}.py").write_text(script)
    return Migrations(folder, "test_version")


@pytest.fixture
def database(database_url: URL) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


def tables(database: Database) -> set[str]:
    with database.read() as connection:
        return set(inspect(connection).get_table_names())


def test_an_empty_database_goes_through_all_and_a_second_time_through_none(database: Database, tmp_path: Path) -> None:
    two = migrations(tmp_path / "scripts with spaces, 100%", "apples", "pears")
    assert [upgrade(database, two), upgrade(database, two)] == [True, False]
    assert tables(database) == {"apples", "pears", "test_version"}


def test_only_what_is_missing_is_applied(database: Database, tmp_path: Path) -> None:
    upgrade(database, migrations(tmp_path / "a", "apples"))
    with database.write() as connection:
        connection.execute(text("INSERT INTO apples VALUES (7)"))
    assert upgrade(database, migrations(tmp_path / "a", "apples", "pears", "plums"))
    assert tables(database) == {"apples", "pears", "plums", "test_version"}
    with database.read() as connection:
        assert connection.execute(text("SELECT n FROM apples")).scalars().all() == [7]


def test_several_histories_live_in_one_database(database: Database, tmp_path: Path) -> None:
    upgrade(database, migrations(tmp_path / "a", "apples"))
    upgrade(database, replace(migrations(tmp_path / "b", "bees", "bears"), table="other_version"))
    assert tables(database) == {"apples", "test_version", "bees", "bears", "other_version"}


def test_a_script_that_fails_leaves_everything_as_it_was(database: Database, tmp_path: Path) -> None:
    broken = migrations(tmp_path / "a", "apples", "pears", more="raise ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        upgrade(database, broken)
    assert tables(database) == set()
    assert upgrade(database, migrations(tmp_path / "a", "apples", "pears"))


def test_where_nothing_is_missing_no_writer_is_waited_for(database_url: URL, tmp_path: Path) -> None:
    two = migrations(tmp_path / "a", "apples", "pears")
    with closing(Database(database_url, readers=1, writers=1, wait_seconds=0)) as database:
        upgrade(database, two)
        with closing(Database(database_url)) as other, other.write() as connection:
            connection.execute(text("INSERT INTO apples VALUES (7)"))
            assert not upgrade(database, two)


def test_a_script_runs_statement_by_statement_in_the_transaction_that_it_is_given(tmp_path: Path) -> None:
    script = """
    -- Two tables; and a trigger, whose end is not that of its first statement.
    CREATE TABLE apples (n INTEGER);  -- one;
    CREATE TABLE pears (
        n INTEGER
    );
    CREATE TRIGGER ripe AFTER INSERT ON apples BEGIN
        INSERT INTO pears VALUES (NEW.n);
        INSERT INTO pears VALUES (';');
    END;
    INSERT INTO apples VALUES (7);
    """
    with closing(Database(sqlite_url(tmp_path / "a.db"))) as database:
        with pytest.raises(DBAPIError), database.write() as connection:
            sqlite_script(connection, f"{script}; INSERT INTO plums VALUES (1);")
        assert tables(database) == set()
        with database.write() as connection:
            sqlite_script(connection, script)
            assert connection.execute(text("SELECT n FROM pears")).scalars().all() == [7, ";"]


def test_a_newer_database_is_refused_and_not_touched(database: Database, tmp_path: Path) -> None:
    upgrade(database, migrations(tmp_path / "new", "apples", "pears"))
    with pytest.raises(NewerDatabase, match=r"has schema 0002, .* up to 0001: use a newer ragpod"):
        upgrade(database, migrations(tmp_path / "old", "apples"))
    assert tables(database) == {"apples", "pears", "test_version"}


def test_of_those_that_start_at_once_one_upgrades_and_the_others_find_it_done(
    database_url: URL, tmp_path: Path
) -> None:
    two = migrations(tmp_path / "a", "apples", "pears")
    with closing(Database(database_url)) as database, database.read():
        pass  # two that make one SQLite file's log at once do not wait for each other

    def start(_: int) -> bool:
        with closing(Database(database_url, readers=1, writers=1)) as database:
            return upgrade(database, two)

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(start, range(4))) == [False, False, False, True]


def test_a_file_from_before_alembic_goes_on_from_where_its_pragma_says(tmp_path: Path) -> None:
    three = replace(migrations(tmp_path / "a", "apples", "pears", "plums"), before_alembic=("0001", "0002"))
    with closing(Database(sqlite_url(tmp_path / "a.db"))) as database:
        with database.write() as connection:
            connection.execute(text("CREATE TABLE apples (n INTEGER)"))
            connection.execute(text("PRAGMA user_version = 1"))
        assert [upgrade(database, three), upgrade(database, three)] == [True, False]
        assert tables(database) == {"apples", "pears", "plums", "test_version"}
        with database.read() as connection:
            assert connection.execute(text("PRAGMA user_version")).scalar() == ALEMBIC_COUNTS


def test_a_file_from_before_alembic_of_an_unknown_version_is_refused(tmp_path: Path) -> None:
    one = replace(migrations(tmp_path / "a", "apples"), before_alembic=("0001",))
    with closing(Database(sqlite_url(tmp_path / "a.db"))) as database:
        with database.write() as connection:
            connection.execute(text("PRAGMA user_version = 2"))
        with pytest.raises(NewerDatabase, match=r"has schema 2, .* up to 0001: use a newer ragpod"):
            upgrade(database, one)
        assert tables(database) == set()
