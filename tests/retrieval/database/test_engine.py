import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import URL, Column, Integer, LargeBinary, MetaData, Table, func, insert, select, text
from sqlalchemy.exc import DBAPIError

from retrieval.database.engine import Database, sqlite_url
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
    database = Database(url, readers=2, writers=2, **given)  # type: ignore[arg-type]
    with database.write() as connection:
        METADATA.create_all(connection)
    return database


def add(database: Database, *new: int) -> None:
    with database.write() as connection:
        for n in new:
            connection.execute(insert(rows), {"n": n})


def fail(database: Database) -> None:
    """After a table was made and a row written."""
    with database.write() as connection:
        connection.execute(text("CREATE TABLE others (n INTEGER)"))
        connection.execute(insert(rows), {"n": 1})
        raise ZeroDivisionError


def numbers(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.scalars(select(rows.c.n).order_by(rows.c.n)))


def test_a_transaction_is_whole_or_not_at_all_its_tables_too(database: Database) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail(database)
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
