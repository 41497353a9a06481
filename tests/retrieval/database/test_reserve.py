"""A full disk: what is deleted and opened on it, what is refused, and what comes back with the room."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, delete, func, insert, select

from retrieval.database.engine import Database, sqlite_url
from retrieval.database.errors import StoreFull
from retrieval.database.reserve import Reserve
from tests.small_disk import disk, full

METADATA = MetaData()
rows = Table("rows", METADATA, Column("n", Integer, primary_key=True), Column("content", LargeBinary))
SIZE = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with disk(tmp_path / "disk", 8 << 20) as mounted:
        yield mounted


def opened(folder: Path) -> Database:
    return Database(sqlite_url(folder / "a.db"), reserve=Reserve(folder / "reserve", SIZE))


def filled(database: Database, first: int = 0) -> None:
    with database.write() as db:
        METADATA.create_all(db)
        db.execute(insert(rows), [{"n": n, "content": bytes(4000)} for n in range(first, first + 100)])


def count(database: Database) -> int:
    with database.read() as db:
        return db.execute(select(func.count()).select_from(rows)).scalar_one()


def delete_all(database: Database) -> None:
    with database.write() as db:
        db.execute(delete(rows))


def test_it_holds_its_blocks_and_gives_them_back(folder: Path) -> None:
    reserve, path = Reserve(folder / "reserve", SIZE), folder / "reserve"
    assert not reserve.release()
    assert reserve.take()
    assert path.stat().st_blocks * 512 >= SIZE
    assert reserve.release()
    assert (reserve.held, path.stat().st_blocks) == (False, 0)
    with full(folder, but=SIZE // 2):
        assert not reserve.take()
        assert path.stat().st_blocks == 0
    assert reserve.take()


def test_a_copy_with_holes_is_filled(folder: Path) -> None:
    with (folder / "reserve").open("wb") as sparse:
        sparse.truncate(SIZE)
    assert Reserve(folder / "reserve", SIZE).take()
    assert (folder / "reserve").stat().st_blocks * 512 >= SIZE


def test_a_full_disk_takes_no_row_and_lets_rows_be_deleted(folder: Path) -> None:
    with closing(opened(folder)) as database:
        assert database.reserve is not None
        assert database.reserve.take()
        filled(database)
        with full(folder):
            with pytest.raises(StoreFull):
                filled(database, 100)
            with pytest.raises(StoreFull):
                delete_all(database)
            database.freeing(lambda: delete_all(database))
            assert count(database) == 0
            assert database.reserve.held  # out of the write-ahead log
        filled(database)
        assert count(database) == 100


def test_what_frees_enough_takes_the_reserve_back_at_once(folder: Path) -> None:
    with closing(opened(folder)) as database:
        assert database.reserve is not None
        assert database.reserve.take()
        filled(database)
        (folder / "large").write_bytes(bytes(2 * SIZE))
        with full(folder):

            def free() -> None:
                delete_all(database)
                (folder / "large").unlink()

            database.freeing(free)
            assert database.reserve.held
            assert not database.short_of_room


def test_a_database_is_opened_on_a_full_disk(folder: Path) -> None:
    with closing(opened(folder)) as database:
        assert database.reserve is not None
        assert database.reserve.take()
        filled(database)
    with full(folder), closing(opened(folder)) as database:
        with pytest.raises(StoreFull):
            count(database)
        assert database.freeing(lambda: count(database)) == 100
        assert database.short_of_room
        with pytest.raises(StoreFull), database.write(grows=True):
            pass
        delete_all(database)
        with full(folder):  # by somebody else
            assert count(database) == 0
    with closing(opened(folder)) as database:
        with database.write(grows=True):
            pass
        assert not database.short_of_room


def test_without_a_reserve_a_full_disk_is_only_told(folder: Path) -> None:
    with closing(Database(sqlite_url(folder / "a.db"))) as database:
        filled(database)
        with full(folder), pytest.raises(StoreFull):
            database.freeing(lambda: delete_all(database))
        with database.write(grows=True):
            pass
