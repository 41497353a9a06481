import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import URL, Column, Connection, Integer, LargeBinary, MetaData, Table, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from retrieval.database.engine import BINARY, Database, sqlite_url
from retrieval.database.errors import StoreConflict, StoreFull, StoreUnavailable
from tests.databases import execute, postgresql
from tests.ports import reserved_port

METADATA = MetaData()
rows = Table("rows", METADATA, Column("n", Integer, primary_key=True), Column("content", LargeBinary))


@pytest.fixture
def database(database_url: URL) -> Iterator[Database]:
    with closing(opened(database_url)) as database:
        yield database


@pytest.fixture
def file_database(tmp_path: Path) -> Iterator[Database]:
    with closing(opened(sqlite_url(tmp_path / "a.db"), wait_seconds=0)) as database:
        yield database


def opened(url: URL, **given: float) -> Database:
    database = Database(url, readers=2, writers=2, **given)
    with database.write() as connection:
        METADATA.create_all(connection)
    return database


def add(database: Database, *new: int) -> None:
    with database.write() as connection:
        for n in new:
            connection.execute(insert(rows), {"n": n})


def fail(transaction: AbstractContextManager[Connection]) -> None:
    """After a table was made and a row written."""
    with transaction as connection:
        connection.execute(text("CREATE TABLE others (n INTEGER)"))
        connection.execute(insert(rows), {"n": 1})
        raise ZeroDivisionError


def numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(select(rows.c.n).order_by(rows.c.n)))


def test_a_transaction_is_whole_or_not_at_all_its_tables_too(database: Database) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail(database.write())
    with database.write(durable=False) as connection:
        connection.execute(insert(rows), [{"n": 2}, {"n": 3}])
    assert numbers(database) == [2, 3]


def test_a_reader_sees_one_snapshot_and_does_not_wait_for_the_writer(database: Database) -> None:
    add(database, 1)
    with database.read() as reader, database.write() as writer:
        assert reader.execute(select(func.count()).select_from(rows)).scalar() == 1
        writer.execute(insert(rows), {"n": 2})
        assert numbers(database) == [1]
        writer.commit()
        assert reader.execute(select(func.count()).select_from(rows)).scalar() == 1
    assert numbers(database) == [1, 2]


def test_a_single_statement_takes_no_transaction_and_sees_what_is_committed_by_then(database: Database) -> None:
    count = select(func.count()).select_from(rows)
    with database.one() as reader:
        assert reader.scalar(count) == 0
        add(database, 2)
        assert reader.scalar(count) == 1
    with database.read() as reader:  # perhaps on the connection that was used without one
        assert reader.scalar(count) == 1
        add(database, 3)
        assert reader.scalar(count) == 1
    with pytest.raises(ZeroDivisionError):
        fail(database.write())
    assert numbers(database) == [2, 3]


def test_bytes_that_are_sent_in_binary_are_those_that_were_written(database: Database) -> None:
    content = bytes(range(256)) * 100
    with database.write() as connection:
        connection.execute(
            insert(rows), [{"n": 1, "content": content}, {"n": 2, "content": b""}, {"n": 3, "content": None}]
        )
    with database.one() as reader:
        found = reader.execute(select(rows).order_by(rows.c.n).execution_options(**{BINARY: True})).all()
    assert [tuple(row) for row in found] == [(1, content), (2, b""), (3, None)]


def test_writers_that_read_before_they_write_do_not_lose_each_others_rows(database: Database) -> None:
    """On SQLite they take turns; PostgreSQL's own row locks and keys do what is needed there."""

    def write(first: int) -> None:
        for n in range(first, 40, 4):
            with database.write() as connection:
                connection.execute(select(func.max(rows.c.n))).scalar()
                connection.execute(insert(rows), {"n": n})

    threads = [Thread(target=write, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(database) == list(range(40))


def test_what_is_there_already_is_a_conflict_and_writes_nothing(database: Database) -> None:
    add(database, 1)
    with pytest.raises(StoreConflict):
        add(database, 2, 1)
    assert numbers(database) == [1]


def test_a_statement_that_is_wrong_is_no_outage(database: Database) -> None:
    with pytest.raises(DBAPIError), database.read() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))
    assert numbers(database) == []


def test_all_connections_in_use_for_too_long_is_an_outage(tmp_path: Path) -> None:
    with closing(opened(sqlite_url(tmp_path / "a.db"), wait_seconds=0.01)) as database:
        with database.read(), database.read(), database.read(), pytest.raises(StoreUnavailable):
            numbers(database)
        assert numbers(database) == []


def test_a_full_database_says_so_and_goes_on_once_there_is_room(file_database: Database) -> None:
    with file_database.write() as connection:
        connection.execute(text("PRAGMA max_page_count = 4"))
    with pytest.raises(StoreFull, match="no room"), file_database.write() as connection:
        connection.execute(insert(rows), {"n": 1, "content": bytes(100_000)})
    with file_database.write() as connection:
        connection.execute(text("PRAGMA max_page_count = 1000"))
        connection.execute(insert(rows), {"n": 2, "content": bytes(100_000)})
    assert numbers(file_database) == [2]


def test_a_file_that_another_process_writes_for_too_long_is_unavailable(file_database: Database) -> None:
    with closing(sqlite3.connect(str(file_database.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable), file_database.write():
            pass
        assert numbers(file_database) == []
        other.execute("ROLLBACK")
    add(file_database, 1)


@pytest.mark.parametrize("content", [b"not a database, whatever its name says" * 100, None])
def test_a_file_that_is_no_database_or_cannot_be_opened_is_unavailable(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.db"
    path.mkdir() if content is None else path.write_bytes(content)
    with closing(Database(sqlite_url(path))) as database, pytest.raises(StoreUnavailable), database.read():
        pass


def test_a_write_is_synced_where_it_must_be_durable(file_database: Database) -> None:
    for durable, level in ((True, 2), (False, 1), (True, 2)):
        with file_database.write(durable=durable) as connection:
            assert connection.execute(text("PRAGMA synchronous")).scalar() == level


REBUILD = (
    "CREATE TABLE rows_new (n INTEGER PRIMARY KEY, content BLOB)",
    "INSERT INTO rows_new SELECT n, content FROM rows WHERE n < {below}",
    "DROP TABLE rows",
    "ALTER TABLE rows_new RENAME TO rows",
)


def rebuild(database: Database, *, below: int) -> None:
    """A table that others refer to, with those of its rows."""
    with database.migrating() as connection:
        for statement in REBUILD:
            connection.exec_driver_sql(statement.format(below=below))


@pytest.fixture
def referring(file_database: Database) -> Database:
    """Rows 1 and 2, and others that refer to them."""
    add(file_database, 1, 2)
    with file_database.write() as connection:
        connection.execute(text("CREATE TABLE others (n INTEGER REFERENCES rows ON DELETE CASCADE)"))
        connection.execute(text("INSERT INTO others VALUES (1), (2)"))
    return file_database


def others(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(text("SELECT n FROM others ORDER BY n")))


def test_a_table_is_made_anew_without_what_refers_to_it_going_with_the_old_one(referring: Database) -> None:
    rebuild(referring, below=3)
    assert (numbers(referring), others(referring)) == ([1, 2], [1, 2])


def test_a_migration_that_leaves_a_reference_to_nothing_is_a_conflict_and_undone(referring: Database) -> None:
    with pytest.raises(StoreConflict, match="a row of others refers to a row of rows"):
        rebuild(referring, below=2)
    assert (numbers(referring), others(referring)) == ([1, 2], [1, 2])


@pytest.mark.parametrize("below", [3, 2])
def test_after_a_migration_references_are_checked_at_once_again(referring: Database, below: int) -> None:
    """Whether it went well or not: also by connections that were there before."""
    with suppress(StoreConflict):
        rebuild(referring, below=below)
    for _ in range(3):
        with pytest.raises(StoreConflict), referring.write() as connection:
            connection.execute(text("INSERT INTO others VALUES (9)"))
    with referring.read() as one, referring.read() as two:
        assert [each.exec_driver_sql("PRAGMA foreign_keys").scalar() for each in (one, two)] == [1, 1]


def test_a_migration_that_fails_is_undone_its_tables_too(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(database.migrating())
    with database.migrating() as connection:
        connection.execute(text("CREATE TABLE others (n INTEGER)"))
    assert (numbers(database), others(database)) == ([], [])


def test_space_is_given_back_outside_of_transactions(file_database: Database) -> None:
    path = Path(str(file_database.url.database))
    with file_database.write() as connection:
        connection.execute(insert(rows), {"n": 1, "content": b"secret" * 100_000})
    with file_database.write() as connection:
        connection.execute(rows.delete())
    with file_database.outside() as connection:
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < 100_000
    assert all(b"secret" not in each.read_bytes() for each in path.parent.iterdir())


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with reserved_port() as port:
        url = URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", port=port, database="test")
        with (
            closing(Database(url)) as database,
            pytest.raises(StoreUnavailable, match="not available"),
            database.read(),
        ):
            pass


def test_connections_that_the_server_ended_are_made_anew() -> None:
    url = postgresql().update_query_dict({"application_name": "ended"})
    with closing(Database(url, readers=1, writers=1)) as database:
        with pytest.raises(StoreUnavailable):
            ask(database, meanwhile=lambda: end_connections(url))
        ask(database)
        end_connections(url)
        ask(database)


def ask(database: Database, meanwhile: Callable[[], None] = lambda: None) -> None:
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
        meanwhile()
        connection.execute(text("SELECT 1"))


def end_connections(url: URL) -> None:
    execute(
        url.set(query={}),
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'ended'",
    )


def test_a_password_is_not_shown_where_the_url_is() -> None:
    with closing(Database("postgresql+psycopg://me:secret@127.0.0.1/test")) as database:
        assert "secret" not in str(database.url)
