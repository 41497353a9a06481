"""Both databases, empty, for a test: a SQLite file, and a schema of its own on a real PostgreSQL.

The server is the one that PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE name; else 127.0.0.1:5432, user `postgres`
without a password, database `test`.
"""

import gzip
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from retrieval.database.engine import sqlite_url


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[URL]:
    if kind == "sqlite":
        yield sqlite_url(folder / "test.db")
        return
    server = postgresql()
    name = f"test_{uuid.uuid4().hex}"
    execute(server, f"CREATE SCHEMA {name}")
    try:
        yield server.update_query_dict({"options": f"-csearch_path={name}"})
    finally:
        execute(server, f"DROP SCHEMA {name} CASCADE")


def postgresql() -> URL:
    """Skips the test where nobody answers."""
    given = os.environ.get
    url = URL.create(
        "postgresql+psycopg",
        given("PGUSER", "postgres"),
        given("PGPASSWORD"),
        given("PGHOST", "127.0.0.1"),
        int(given("PGPORT", "5432")),
        given("PGDATABASE", "test"),
    )
    try:
        execute(url, "SELECT 1")
    except psycopg.OperationalError as error:
        pytest.skip(f"needs PostgreSQL at {url}: apt-get install postgresql ({error})")
    return url


def execute(server: URL, statement: str) -> None:
    """By a connection of its own, committed."""
    written = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(written, connect_timeout=5, autocommit=True) as connection:
        connection.execute(statement.encode())


def old_data_folder(folder: Path) -> Path:
    """As ragpod of commit 42c3512 left it, without its indexes: the last one before Alembic.

    The store `main` with one file, two responses of which the second goes on from the first, one chat completion.
    """
    folder.mkdir(exist_ok=True)
    for packed in (Path(__file__).parent / "data_folders/42c3512").glob("*.gz"):
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder
