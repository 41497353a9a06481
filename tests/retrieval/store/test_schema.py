"""The tables that the store's migrations make in a new database, SQLite and PostgreSQL."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL, Connection, MetaData, inspect, text
from sqlalchemy.exc import DBAPIError

from retrieval.database.engine import Database
from retrieval.database.errors import NewerDatabase
from retrieval.database.migration import upgrade
from retrieval.store.migrations import MIGRATIONS
from retrieval.store.outbox.tables import METADATA
from server.records.migrations import MIGRATIONS as RECORDS
from server.records.tables import METADATA as RECORDS_METADATA
from tests.databases import empty_database
from tests.retrieval.store.old_databases import SCRIPTS


@pytest.fixture
def fresh(database_url: URL) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        assert upgrade(database, MIGRATIONS)
        yield database


def test_the_migrations_end_at_the_tables_of_the_code(fresh: Database) -> None:
    def compared(item: Any, _name: Any, kind: str, *_: Any) -> bool:
        """Not a SQLite row's number, which is never null, whether it says so or not; nor the references of SQLite's
        columns, of which SQLAlchemy does not read what is done on delete. They are compared below.
        """
        return not (fresh.is_sqlite and (kind == "foreign_key_constraint" or (kind == "column" and item.primary_key)))

    options = {"version_table": MIGRATIONS.table, "include_object": compared, "compare_type": True}
    with fresh.write() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []


def test_the_migrations_end_there_in_what_alembic_does_not_compare(fresh: Database, tmp_path: Path) -> None:
    """The tables of the code as the same database makes them, which is what a new data folder gets. No rows."""
    (tmp_path / "other").mkdir()
    with empty_database(fresh.url.get_backend_name(), tmp_path / "other") as url, closing(Database(url)) as other:
        assert upgrade(other, MIGRATIONS, METADATA)
        assert not upgrade(other, MIGRATIONS, METADATA)
        assert further_schema(fresh) == further_schema(other)
        assert everything(fresh) == everything(other)


def everything(database: Database) -> dict[str, Any]:
    """Of each table, the version table too: its columns' types and its rows. A key is never null."""
    with database.read() as connection:
        made = MetaData()
        made.reflect(connection)
        return {
            name: (
                {each.name: (repr(each.type), each.nullable and not each.primary_key) for each in table.columns},
                inspect(connection).get_pk_constraint(name),
                connection.execute(table.select()).all(),
            )
            for name, table in made.tables.items()
        }


def test_a_database_that_has_one_of_the_tables_goes_through_the_migrations(fresh: Database) -> None:
    """Whoever made it, it is not taken for an empty one."""
    with fresh.write() as connection:
        connection.execute(text(f"DROP TABLE {MIGRATIONS.table}"))
        if fresh.is_sqlite:
            connection.exec_driver_sql("PRAGMA user_version = 0")
    with pytest.raises(DBAPIError, match="already exists"):
        upgrade(fresh, MIGRATIONS, METADATA)


def further_schema(database: Database) -> dict[str, Any]:
    with database.read() as connection:
        told = inspect(connection)
        return {
            table: [
                told.get_pk_constraint(table)["constrained_columns"],
                {
                    each["name"]: (str(each["type"]), each["default"], each.get("identity"))
                    for each in told.get_columns(table)
                },
                sorted(each["sqltext"] for each in told.get_check_constraints(table)),
                {
                    each["name"]: [str(of) for of in each["dialect_options"].values()]
                    for each in told.get_indexes(table)
                },
                told.get_table_options(table),
                sqlite_numbers_and_references(connection, table) if database.is_sqlite else None,
            ]
            for table in METADATA.tables
        }


def sqlite_numbers_and_references(connection: Connection, table: str) -> list[Any]:
    """AUTOINCREMENT; references, those to a primary key that is not named as if it were."""
    key = 'SELECT name FROM pragma_table_info(r."table") WHERE pk = 1'
    references = f'SELECT "from", "table", coalesce("to", ({key})), on_delete FROM pragma_foreign_key_list(?) r'
    made = connection.exec_driver_sql("SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE name = ?", (table,))
    return [made.scalar(), sorted(connection.exec_driver_sql(references, (table,)))]


def test_a_database_of_a_newer_ragpod_is_refused(fresh: Database) -> None:
    with fresh.write() as connection:
        connection.execute(text(f"UPDATE {MIGRATIONS.table} SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match=r"schema 9999, .* use a newer ragpod"):
        upgrade(fresh, MIGRATIONS)


BOTH = """
import sys
from sqlalchemy import make_url
from retrieval.database.engine import Database
from retrieval.database.migration import upgrade
from retrieval.store.migrations import MIGRATIONS as STORE
from server.records.migrations import MIGRATIONS as RECORDS

database, each = Database(make_url(sys.argv[1])), {"store": STORE, "records": RECORDS}
print(flush=True)
sys.stdin.read(1)
print(*(upgrade(database, each[name]) for name in sys.argv[2:]))
"""
ORDERS = [("store", "records"), ("records", "store")]


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_the_store_and_the_records_live_in_one_postgresql(
    tmp_path: Path, order: tuple[str, str], processes: int
) -> None:
    """Every second process begins at the other end; of those that start at once each history has one that runs it."""
    with empty_database("postgresql", tmp_path) as url:
        command = [sys.executable, "-c", BOTH, url.render_as_string(hide_password=False)]
        orders = [order[:: 1 if number % 2 == 0 else -1] for number in range(processes)]
        with ExitStack() as stack:
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            started: list[Any] = [stack.enter_context(subprocess.Popen([*command, *each], **pipes)) for each in orders]
            for each in started:
                each.stdout.readline()  # it is ready
            for each in started:
                each.stdin.write(b"!")
                each.stdin.flush()
            told = [each.communicate(timeout=60)[0].split() for each in started]
        done = [
            (name, ran) for names, each in zip(orders, told, strict=True) for name, ran in zip(names, each, strict=True)
        ]
        assert [done.count((name, b"True")) for name in order] == [1, 1]
        with closing(Database(url)) as database, database.read() as connection:
            versions = {MIGRATIONS.table, RECORDS.table}
            assert set(inspect(connection).get_table_names()) == {*METADATA.tables, *RECORDS_METADATA.tables, *versions}


def test_the_names_of_the_scripts_are_their_revisions() -> None:
    assert [each.revision for each in SCRIPTS.walk_revisions()] == MIGRATIONS.revisions[::-1]
