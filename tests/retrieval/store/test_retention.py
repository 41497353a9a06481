from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from retrieval.store.base.tables import vector_stores
from retrieval.store.base.values import DAY, Expired, NotFound
from retrieval.store.store import Store
from tests.databases import Time, empty_database
from tests.retrieval.publishing import attach, publish, texts


def test_only_what_is_due_expires(store: Store, time: Time) -> None:
    kept = store.vector_stores.create("ann", "kept").id
    short = store.vector_stores.create("ann", "short", expires_days=1).id
    long = store.vector_stores.create("ann", "long", expires_days=2).id
    for vs in (kept, short, long):
        publish(store, vs, "a.txt", ["alpha"])
    file = store.files.add("ann", "b.txt", b"b", expires_seconds=3600)
    assert store.retention.next_expiry() == time.now + 3600
    time.now += DAY
    store.retention.expire()
    with pytest.raises(NotFound):
        store.files.get("ann", file.id)
    assert store.retention.next_expiry() == time.now + DAY
    assert [store.vector_stores.find("ann", vs).expired for vs in (kept, short, long)] == [False, True, False]
    assert [len(store.passages.visible_keys(vs)[0]) for vs in (kept, short, long)] == [1, 0, 1]
    store.retention.sweep_blobs()
    assert not store.blobs.due()


def test_a_use_counts_at_once_and_is_written_later(store: Store, vs: str, time: Time) -> None:
    time.now += 20
    store.vector_stores.use(store.vector_stores.resolve("ann", vs))
    found, listed = store.vector_stores.find("ann", vs), store.vector_stores.page("ann").items[0]
    assert found.last_active_at == listed.last_active_at == time.now
    assert written_use(store) == time.now - 20
    store.retention.write_uses()
    assert written_use(store) == time.now


def written_use(store: Store) -> int:
    with store.database.read() as db:
        return int(db.execute(select(vector_stores.c.last_active_at)).scalar_one())


def test_uses_are_written_when_the_store_is_closed(kind: str, tmp_path: Path, time: Time) -> None:
    with empty_database(kind, tmp_path) as url:
        where = url.render_as_string(hide_password=False)
        with closing(Store.open(tmp_path, url=where, clock=time)) as store:
            vs = store.vector_stores.create("ann", "handbook").id
        time.now += 2
        with closing(Store.open(tmp_path, url=where, clock=time)) as store:
            store.vector_stores.use(store.vector_stores.resolve("ann", vs))
        used, time.now = time.now, time.now + 2
        with closing(Store.open(tmp_path, url=where, clock=time)) as store:
            assert store.vector_stores.find("ann", vs).last_active_at == used


def test_a_store_in_use_never_expires(store: Store, time: Time) -> None:
    used, idle = (store.vector_stores.create("ann", name, expires_days=1).id for name in ("used", "idle"))
    named = store.vector_stores.resolve("ann", used)
    publish(store, used, "a.txt", ["alpha"])
    time.now += DAY - 1
    store.vector_stores.use(named)
    time.now += DAY - 1
    assert not store.vector_stores.find("ann", used).expired
    store.vector_stores.use(named)
    attach(store, used, "b.txt", "beta")  # its expiry, too, counts what is in memory
    time.now += 1
    store.retention.expire()
    assert [store.vector_stores.resolve("ann", vs).expired for vs in (used, idle)] == [False, True]
    assert texts(store, used) == ["alpha"]
    time.now += DAY
    assert store.vector_stores.resolve("ann", used).expired
    with pytest.raises(Expired):
        attach(store, used, "c.txt", "gamma")


def test_what_is_deleted_is_due_for_a_scrub_of_every_consumer(kind: str, tmp_path: Path, time: Time) -> None:
    """PostgreSQL has several: a data folder each."""
    with empty_database(kind, tmp_path) as url:
        where = url.render_as_string(hide_password=False)
        folders = [tmp_path / name for name in ("one", "two")][: 1 if kind == "sqlite" else 2]
        stores = [Store.open(folder, url=where, clock=time) for folder in folders]
        assert [store.retention.leftovers_due() for store in stores] == [True] * len(stores)  # new ones
        assert [store.retention.scrub() for store in stores] == [True] * len(stores)
        file = stores[0].files.add("ann", "a.txt", b"alpha")
        assert [store.retention.leftovers_due() for store in stores] == [False] * len(stores)
        stores[0].files.delete("ann", file.id)
        assert [store.retention.leftovers_due() for store in stores] == [True] * len(stores)
        stores[0].retention.scrub()
        assert [store.retention.leftovers_due() for store in stores] == [False, True][: len(stores)]
        for store in stores:
            store.close()


def test_what_is_deleted_while_a_scrub_runs_is_due_again(store: Store) -> None:
    def deleting() -> None:
        store.files.delete("ann", store.files.add("ann", "late.txt", b"late").id)

    assert store.retention.scrub()
    assert not store.retention.leftovers_due()
    assert store.retention.scrub(deleting)
    assert store.retention.leftovers_due()
    assert store.retention.scrub()
    assert not store.retention.leftovers_due()


def test_a_scrub_that_is_broken_off_is_due_again(store: Store) -> None:
    def broken() -> None:
        raise OSError("no room for the indexes")

    assert store.retention.scrub()
    with pytest.raises(OSError, match="no room"):
        store.retention.scrub(broken)
    assert store.retention.leftovers_due()
