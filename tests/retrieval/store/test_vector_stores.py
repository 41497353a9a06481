from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select

from retrieval.store.base.tables import changes as log
from retrieval.store.base.tables import chunks, vectors
from retrieval.store.base.values import DAY, Expired, NotFound, UnknownCursor
from retrieval.store.store import Store
from tests.databases import Time
from tests.retrieval.publishing import DIM, attach, publish, texts
from tests.retrieval.store.statements import executed


def test_a_store_is_found_by_id_and_by_name(store: Store) -> None:
    first = store.vector_stores.create("ann", "handbook", {"team": "문서"})
    store.vector_stores.create("ann", "handbook")
    assert store.vector_stores.find("ann", first.id).metadata == {"team": "문서"}
    assert store.vector_stores.find("ann", "handbook").id == first.id


def test_two_callers_that_ensure_one_name_at_once_get_one_store(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = {found.id for found in pool.map(lambda _: store.vector_stores.ensure("ann", "handbook"), range(8))}
    assert len(ids) == 1


def test_a_store_can_be_renamed_and_deleted(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    assert store.vector_stores.update("ann", vs, name="manual", metadata={"k": "v"}).name == "manual"
    assert store.vector_stores.update("ann", vs).metadata == {"k": "v"}
    store.vector_stores.delete("ann", vs)
    with pytest.raises(NotFound):
        store.vector_stores.find("ann", vs)
    with store.database.read() as db:
        left = [db.scalar(select(func.count()).select_from(table)) for table in (chunks, vectors, log)]
    assert left == [0, 0, 0]
    assert len(store.files.page("ann").items) == 1


def test_pages_follow_each_other_in_both_directions(store: Store) -> None:
    ids = [store.vector_stores.create("ann", str(i)).id for i in range(5)]
    page = store.vector_stores.page("ann", limit=2)
    assert [each.id for each in page.items] == [ids[4], ids[3]]
    assert page.has_more
    page = store.vector_stores.page("ann", limit=3, after=ids[3])
    assert [each.id for each in page.items] == [ids[2], ids[1], ids[0]]
    assert not page.has_more
    page = store.vector_stores.page("ann", limit=2, order="asc", before=ids[4])
    assert [each.id for each in page.items] == [ids[2], ids[3]]
    assert page.has_more
    with pytest.raises(UnknownCursor, match="after is 'vs_none'"):
        store.vector_stores.page("ann", after="vs_none")


ODD = "'; DROP TABLE files; -- \U0001f600 한글"


def test_odd_strings_come_back_as_they_were(store: Store) -> None:
    found = store.vector_stores.create(ODD, ODD, {ODD: ODD, "\0": "\0"})
    assert store.vector_stores.find(ODD, ODD) == found
    assert found.metadata == {ODD: ODD, "\0": "\0"}


def test_nul_in_a_name_is_kept_where_the_database_can_and_finds_it_on_both(store: Store) -> None:
    found = store.vector_stores.create("ann", "one\0two")
    assert store.vector_stores.find("ann", "one\0two") == found
    assert found.name == ("one\0two" if store.database.is_sqlite else "one\ufffdtwo")


def test_an_owner_or_an_id_with_nul_is_nobodys(store: Store, vs: str) -> None:
    for owner, wanted in (("ann\0", vs), ("ann", f"{vs}\0"), ("ann\0", "handbook")):
        with pytest.raises(NotFound):
            store.vector_stores.find(owner, wanted)
    assert store.vector_stores.named("ann\0") == []


def test_an_id_is_resolved_before_a_name_and_without_reading_files(store: Store, vs: str) -> None:
    named_so = store.vector_stores.create("ann", vs)
    with executed(store) as statements:
        assert store.vector_stores.resolve("ann", vs).id == vs
        assert store.vector_stores.resolve("ann", "handbook").id == vs
        assert store.vector_stores.resolve("ann", named_so.id).name == vs
        assert [each.id for each in store.vector_stores.named("ann")] == [vs, named_so.id]
    assert len(statements) == 4
    assert not [each for each in statements if "store_files" in each]
    with executed(store) as statements:
        store.vector_stores.find("ann", vs)
    assert [each for each in statements if "store_files" in each]


def test_counts_and_usage_follow_the_files(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    attach(store, vs, "b.txt", "beta")
    cancelled = attach(store, vs, "c.txt", "gamma")
    store.attachments.cancel("ann", vs, cancelled.file_id)
    found = store.vector_stores.find("ann", vs)
    assert (found.counts.completed, found.counts.in_progress, found.counts.cancelled) == (1, 1, 1)
    assert found.counts.total == 3
    assert found.usage_bytes == len("alpha") + 2 * DIM + len(b"code")
    assert [each.file_id for each in store.attachments.page("ann", vs, "cancelled").items] == [cancelled.file_id]


def test_a_name_means_the_store_that_has_not_expired(store: Store, time: Time) -> None:
    old = store.vector_stores.create("ann", "notes", expires_days=1)
    time.now += DAY
    new = store.vector_stores.ensure("ann", "notes")
    assert new.id != old.id
    assert store.vector_stores.find("ann", "notes").id == new.id
    assert store.vector_stores.find("ann", old.id).expired


def test_what_has_expired_is_changed_no_more_and_says_so_when_it_is_resolved(store: Store, time: Time) -> None:
    short = store.vector_stores.create("ann", "short", expires_days=1).id
    publish(store, short, "a.txt", ["alpha"])
    time.now += DAY
    for _ in range(2):
        assert store.vector_stores.resolve("ann", short).expired
        with pytest.raises(Expired):
            attach(store, short, "c.txt", "c")
        with pytest.raises(Expired):
            store.vector_stores.update("ann", short, expires_days=0)
        store.retention.expire()
    assert texts(store, short) == []
