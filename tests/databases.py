"""Both databases, empty, for a test: a SQLite file, and a schema of its own on a real PostgreSQL.

The server is the one that PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE name; else 127.0.0.1:5432, user `postgres`
without a password, database `test`.
"""

import gzip
import os
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from retrieval.database.engine import sqlite_url
from retrieval.store.store import Store


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[URL]:
    if kind == "sqlite":
        yield sqlite_url(folder / "test.db")
        return
    server = postgresql()
    name = f"test_{uuid.uuid4().hex}"
    execute(server, f"CREATE SCHEMA {name}")
    try:
        yield server.update_query_dict({"options": f"-csearch_path={name}", "application_name": name})
    finally:
        execute(server, f"DROP SCHEMA {name} CASCADE")


@contextmanager
def opened_store(kind: str, folder: Path, clock: Callable[[], float] = time.time) -> Iterator[Store]:
    """In a data folder of its own, on an empty database of that kind."""
    with empty_database(kind, folder) as url:
        where = None if kind == "sqlite" else url.render_as_string(hide_password=False)
        with closing(Store.open(folder, url=where, clock=clock)) as store:
            yield store


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


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


def end_connections(url: URL) -> None:
    """Those to the schema that `empty_database` made for this URL, as a server does that is shut down."""
    own = f"application_name = '{url.query['application_name']}'"
    execute(url.set(query={}), f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {own}")


def execute(server: URL, statement: str) -> None:
    """By a connection of its own, committed."""
    written = server.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(written, connect_timeout=5, autocommit=True) as connection:
        connection.execute(statement.encode())


def old_data_folder(folder: Path, version: str = "42c3512") -> Path:
    """As ragpod of that commit left it.

    42c3512: without its indexes; the last one before the records had Alembic. The store `main` with one file, two
    responses of which the second goes on from the first, one chat completion.

    cf3180e: with its indexes; the last one before the store had Alembic. The stores `default`, empty, `main` and
    `side`, both with the same CSV (each with attributes of its own); in `main` also Markdown, JSONL in Korean, of
    which a changed version was uploaded, and a file that failed; a batch of two files, and one of a file that was
    deleted. A file of `side` was deleted, which its indexes on disk do not know yet. Turns and responses as above.
    """
    folder.mkdir(exist_ok=True)
    for packed in (Path(__file__).parent / "data_folders" / version).glob("*.gz"):
        if packed.stem.endswith(".tar"):
            with tarfile.open(packed) as archive:
                archive.extractall(folder, filter="data")
        else:
            (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return folder
