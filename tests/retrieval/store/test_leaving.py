"""What is deleted is not found from the first transaction on, and goes in steps that a full disk has room for.

Broken off wherever that can be, it is finished by the next start, and nothing of it comes back.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete as sql_delete
from sqlalchemy import event, func, select

from retrieval.database.errors import StoreFull
from retrieval.indexes.manager import IndexManager
from retrieval.store.base.tables import METADATA, chunks
from retrieval.store.base.values import DAY, Expired, NotFound
from retrieval.store.store import Store
from retrieval.types import ParsedDocument
from tests.databases import Time, empty_database
from tests.retrieval.publishing import DIM, attach, prepare, publish, texts
from tests.retrieval.store.invariants import assert_whole
from tests.retrieval.store.tripping import Killed
from tests.small_disk import disk, full

pytestmark = pytest.mark.slow
ROWS = [f"row {i} of the long one" for i in range(10)]
Delete = Callable[[Store, Time, str, str], None]


def delete_file(store: Store, _: Time, __: str, file: str) -> None:
    store.files.delete("ann", file)


def detach(store: Store, _: Time, vs: str, file: str) -> None:
    store.attachments.detach("ann", vs, file)


def delete_store(store: Store, _: Time, vs: str, __: str) -> None:
    store.vector_stores.delete("ann", vs)


def expire_store(store: Store, time: Time, _: str, __: str) -> None:
    time.now += 2 * DAY
    store.retention.expire()


WAYS: list[Delete] = [delete_file, detach, delete_store, expire_store]


def placed(store: Store) -> tuple[str, str, str]:
    """A vector store with a long file and a short one, which another one has too: their ids, that of the long file."""
    vs, other = store.vector_stores.create("ann", "handbook", expires_days=1).id, store.vector_stores.create("ann", "o")
    file = publish(store, vs, "long.txt", ROWS).file_id
    for each in (vs, other.id):
        publish(store, each, "short.txt", ["short"])
    return vs, other.id, file


def rows(store: Store) -> int:
    with store.database.read() as db:
        return db.execute(select(func.count()).select_from(chunks)).scalar_one()


def seen(store: Store, vs: str) -> list[str]:
    with suppress(NotFound, Expired):
        return texts(store, vs)
    return []


@pytest.mark.parametrize(
    ("kind", "delete"),
    [
        *(("sqlite", way) for way in WAYS),
        ("postgresql", delete_file),
        *(pytest.param("postgresql", way, marks=pytest.mark.heavy) for way in WAYS[1:]),
    ],
)
def test_whatever_of_it_a_kill_leaves_is_seen_by_nobody_and_goes_with_the_next_start(
    kind: str, tmp_path: Path, time: Time, delete: Delete, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at every commit, one after the other."""
    monkeypatch.setattr("retrieval.database.engine._ROWS", 4)
    killed, point = True, 0
    while killed:
        killed, point = broken_off(kind, tmp_path / str(point), time, delete, point), point + 1
    assert point > 4


def broken_off(kind: str, folder: Path, time: Time, delete: Delete, point: int) -> bool:
    """Whether the delete had so many commits."""
    folder.mkdir()
    with empty_database(kind, folder) as url:
        where = url.render_as_string(hide_password=False)
        with closing(Store.open(folder, url=where, clock=time)) as store:
            vs, other, file = placed(store)
            kept = (["short"] if delete is not delete_store else []) if delete is not expire_store else []
            whole = sorted([*ROWS, "short"])
            killed = not ends(store, partial(delete, store, time, vs, file), point)
            assert sorted(seen(store, vs)) in ((whole, kept) if killed else (kept,))
            begun = sorted(seen(store, vs)) == kept and delete is not expire_store
            assert texts(store, other) == ["short"]
            assert_whole(store)
        with closing(Store.open(folder, url=where, clock=time)) as store, closing(indexes(store)) as manager:
            assert manager.check() == []
            store.retention.expire()
            assert manager.check() == []
            assert sorted(seen(store, vs)) == (kept if begun or delete is expire_store else whole)
            if begun and delete is delete_file:
                assert publish(store, vs, "long.txt", ROWS).file_id != file
                assert sorted(seen(store, vs)) == whole
            assert rows(store) == len(seen(store, vs)) + 1
            assert_whole(store)
    return killed


def ends(store: Store, work: Callable[[], None], point: int) -> bool:
    """False where it was broken off before it could commit for that time."""
    commits = 0

    def commit(_: object) -> None:
        nonlocal commits
        commits += 1
        if commits > point:
            raise Killed

    event.listen(store.database._engine, "commit", commit)
    try:
        work()
    except Killed:
        return False
    finally:
        event.remove(store.database._engine, "commit", commit)
    return True


def indexes(store: Store) -> IndexManager:
    return IndexManager(store.changes, store.passages, store.data_dir, DIM)


def test_a_name_is_free_while_what_had_it_leaves(
    store: Store, vs: str, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.database.engine._ROWS", 4)
    file = publish(store, vs, "long.txt", ROWS).file_id
    assert not ends(store, partial(store.files.delete, "ann", file), 2)
    assert rows(store) > 0
    again = publish(store, vs, "long.txt", ROWS)
    assert (again.file_id != file, sorted(texts(store, vs))) == (True, sorted(ROWS))
    assert [each.file_id for each in store.attachments.page("ann", vs).items] == [again.file_id]
    found = store.vector_stores.find("ann", vs)
    assert (found.counts.completed, found.counts.total, found.usage_bytes) == (1, 1, again.usage_bytes)
    assert store.retention.next_expiry() == 0
    store.retention.expire()
    assert (store.retention.next_expiry(), rows(store)) == (None, len(ROWS))
    assert store.files.content("ann", again.file_id)


def test_a_version_that_counted_on_what_leaves_is_worked_through_again(
    store: Store, vs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.database.engine._ROWS", 4)
    old = publish(store, vs, "long.txt", ROWS)
    new = attach(store, vs, "long.txt", "\n".join([*ROWS, "new"]))
    documents = [ParsedDocument(text) for text in [*ROWS, "new"]]
    attempt = prepare(store, new.version, documents)
    assert not ends(store, partial(store.files.delete, "ann", old.file_id), 1)
    assert not store.publishing.publish(attempt)
    store.retention.expire()
    assert store.publishing.publish(prepare(store, new.version, documents))
    assert sorted(texts(store, vs)) == sorted([*ROWS, "new"])
    assert_whole(store)


RESERVE = 2 << 20
LONG = [f"passage {i} " + "of many words that fill some room " * 20 for i in range(3000)]


@pytest.mark.parametrize("delete", WAYS)
def test_a_full_disk_lets_go_of_what_is_larger_than_the_reserve(tmp_path: Path, time: Time, delete: Delete) -> None:
    with disk(tmp_path / "disk", 64 << 20) as folder:
        with closing(Store.open(folder / "data", clock=time)) as store:
            vs = store.vector_stores.create("ann", "handbook", expires_days=1).id
            file = publish(store, vs, "long.txt", LONG).file_id
        # Anew: what the log has already grown to is room too.
        with closing(Store.open(folder / "data", reserve_bytes=RESERVE, clock=time)) as store:
            fills_and_deletes(store, folder, time, delete, vs, file)


def fills_and_deletes(store: Store, folder: Path, time: Time, delete: Delete, vs: str, file: str) -> None:
    with full(folder):
        with pytest.raises(StoreFull):
            store.database.freeing(partial(at_once, store))
        delete(store, time, vs, file)
        assert seen(store, vs) == []
        assert rows(store) == 0
        assert [name for name, count in counted(store).items() if count] in ([], ["changes"])
    assert_whole(store)


def at_once(store: Store) -> None:
    with store.database.write() as db:
        db.execute(sql_delete(chunks))


def counted(store: Store) -> dict[str, int]:
    """Rows of each table that has what hangs on a file's passages."""
    names = ("documents", "chunks", "vectors", "token_codes", "store_files", "changes")
    with store.database.read() as db:
        return {n: db.execute(select(func.count()).select_from(METADATA.tables[n])).scalar_one() for n in names}
