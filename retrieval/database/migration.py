"""Brings a database's tables up to date, by Alembic: every MetaData has scripts and a version table of its own.

A folder of migrations holds one script a revision, `0001_name.py` with revision "0001", each following the one before,
never changed once released. All that are missing run in one transaction, whose lock lets no second process begin: on
SQLite the writer's own (and the data folder is one process's anyway), on PostgreSQL an advisory lock. An empty database
may be given the newest tables at once instead, which takes a quarter of the time, and no Alembic.
"""

import hashlib
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, func, inspect, select, text

from retrieval.database.engine import Database
from retrieval.database.errors import NewerDatabase

# PRAGMA user_version of what has a version table: a ragpod that counts by the pragma refuses it as a newer one's.
ALEMBIC_COUNTS = 1_000
_ONE_RUNS = threading.Lock()  # `op`, which the scripts use, is one for the process


@dataclass(frozen=True, slots=True)
class Migrations:
    """table: holds the version. before_alembic: the revisions that PRAGMA user_version 1, 2, … counted in SQLite."""

    folder: Path
    table: str
    before_alembic: tuple[str, ...] = ()

    @property
    def revisions(self) -> list[str]:
        """The oldest first. From the names alone: Alembic costs 0.1 s, and mostly there is nothing to do."""
        return sorted(path.name.partition("_")[0] for path in self.folder.glob("[0-9]*_*.py"))


def upgrade(database: Database, migrations: Migrations, newest: MetaData | None = None) -> bool:
    """Whether there was something to do: where there was not, nothing is written and no lock waited for.

    newest: what the migrations end at, tables and no rows; a database that has none of these tables is given them.
    Raises NewerDatabase, StoreUnavailable, StoreFull, StoreConflict (Database.migrating), and has changed nothing.
    """
    with database.read() as connection:
        if _is_level(connection, migrations):
            return False
    with database.migrating() as connection:
        if not database.is_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(_lock_number(connection, migrations.table))))
        if _is_level(connection, migrations):  # by another process meanwhile
            return False
        if newest is not None and _is_empty(connection, migrations, newest):
            _make(connection, migrations, newest)
        else:
            _run(connection, migrations)
        if database.is_sqlite:
            connection.exec_driver_sql(f"PRAGMA user_version = {ALEMBIC_COUNTS}")
    return True


def sqlite_script(connection: Connection, script: str) -> None:
    """Every statement, in the connection's transaction, which the driver's own `executescript` would commit first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.exec_driver_sql(statement)
            statement = ""
    assert not statement.strip(), "a statement without its semicolon"


def _is_level(connection: Connection, migrations: Migrations) -> bool:
    """Raises NewerDatabase."""
    known, current = migrations.revisions, _version(connection, migrations.table)
    if current not in (None, *known):
        raise _newer(str(current), known)
    _version_before_alembic(connection, migrations)
    return current == known[-1]


def _version(connection: Connection, table: str) -> str | None:
    if not inspect(connection).has_table(table):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {table}")).scalar()  # noqa: S608
    return found


def _version_before_alembic(connection: Connection, migrations: Migrations) -> str | None:
    """Raises NewerDatabase."""
    if connection.dialect.name != "sqlite":
        return None
    number: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    before = migrations.before_alembic
    if len(before) < number != ALEMBIC_COUNTS:
        raise _newer(str(number), migrations.revisions)
    return before[number - 1] if 1 <= number <= len(before) else None


def _newer(version: str, known: list[str]) -> NewerDatabase:
    return NewerDatabase(
        f"the database has schema {version}, this ragpod knows schemas up to {known[-1]}: use a newer ragpod"
    )


def _lock_number(connection: Connection, table: str) -> int:
    """64 bits, the same in every process: of the table in its schema."""
    name = f"ragpod {inspect(connection).default_schema_name} {table}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _is_empty(connection: Connection, migrations: Migrations, newest: MetaData) -> bool:
    if _version(connection, migrations.table) or _version_before_alembic(connection, migrations):
        return False
    return newest.tables.keys().isdisjoint(inspect(connection).get_table_names())


def _make(connection: Connection, migrations: Migrations, newest: MetaData) -> None:
    """In the connection's transaction; the version table as Alembic would make it."""
    newest.create_all(connection, checkfirst=False)
    column, key = Column("version_num", String(32)), PrimaryKeyConstraint("version_num", name=f"{migrations.table}_pkc")
    version = Table(migrations.table, MetaData(), column, key)
    version.create(connection)
    connection.execute(version.insert(), {"version_num": migrations.revisions[-1]})


def _run(connection: Connection, migrations: Migrations) -> None:
    """In the connection's transaction."""
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext, MigrationStep
    from alembic.script import ScriptDirectory

    folder = str(migrations.folder)
    scripts = ScriptDirectory(folder, version_locations=[folder])

    def missing(heads: tuple[str, ...], _context: MigrationContext) -> list[MigrationStep]:
        ahead = scripts.iterate_revisions("head", heads, implicit_base=True)
        return [MigrationStep.upgrade_from_script(scripts.revision_map, each) for each in reversed(list(ahead))]

    context = MigrationContext.configure(connection, opts={"version_table": migrations.table, "fn": missing})
    if _version(connection, migrations.table) is None and (before := _version_before_alembic(connection, migrations)):
        context.stamp(scripts, before)
    with _ONE_RUNS, Operations.context(context):
        context.run_migrations()
