"""What is deleted leaves every generation in the same step, and goes in further ones: killed at any commit, the next
start finishes it.
"""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from retrieval.store.base.values import NotFound
from retrieval.store.store import Store
from tests.databases import Time, empty_database
from tests.retrieval.publishing import DIM, attach, publish
from tests.retrieval.store.generations.test_generations import CUT, NEW, OWNER, building, held, ingest, made_anew
from tests.retrieval.store.invariants import assert_whole
from tests.retrieval.store.test_leaving import (
    ROWS,
    Delete,
    delete_file,
    delete_store,
    detach,
    ends,
    expire_store,
    indexes,
    rows,
)

Counts = list[tuple[str, int]]


def drop(store: Store, _: Time, __: str, ___: str) -> None:
    (beside,) = (each.index_id for each in store.generations.of(OWNER) if each.state != "found")
    store.generations.drop(OWNER, beside)


def shown(store: Store) -> Counts:
    """Of each generation that is told of: its state, and its files."""
    return [(each.state, each.files.total) for each in store.generations.of(OWNER)]


# What is there after each, beside what is building, and what is kept.
WAYS: list[tuple[Delete, Callable[[str], Counts]]] = [
    (delete_file, lambda state: [("found", 1), (state, 1)]),
    (detach, lambda state: [("found", 1), (state, 1)]),
    (delete_store, lambda _: []),
    (expire_store, lambda state: [("found", 0), (state, 0)]),
    (drop, lambda _: [("found", 2)]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("way", "after"), WAYS)
@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("sqlite", "building"),
        ("sqlite", "kept"),
        pytest.param("postgresql", "building", marks=pytest.mark.heavy),
        pytest.param("postgresql", "kept", marks=pytest.mark.heavy),
    ],
)
def test_it_leaves_all_generations_at_once_and_is_finished_after_any_kill(
    kind: str,
    tmp_path: Path,
    time: Time,
    state: str,
    way: Delete,
    after: Callable[[str], Counts],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("retrieval.database.engine._ROWS", 4)
    killed, point = True, 0
    while killed:
        folder = tmp_path / str(point)
        folder.mkdir()
        with empty_database(kind, folder) as url:
            where = url.render_as_string(hide_password=False)
            killed = broken_off(partial(Store.open, folder, url=where, clock=time), time, state, way, after, point)
        point += 1
    assert point > 3


def broken_off(
    opened: Callable[[], Store], time: Time, state: str, way: Delete, after: Callable[[str], Counts], point: int
) -> bool:
    """Whether it had so many commits."""
    with closing(opened()) as store:
        vs = store.vector_stores.create(OWNER, "handbook", expires_days=1).id
        file = publish(store, vs, "long.txt", ROWS).file_id
        publish(store, vs, "short.txt", ["short"])
        if state == "kept":
            made_anew(store, CUT)
        else:
            store.generations.begin(CUT, alone=True)
            building(store)
            ingest(store, "synthetic", DIM)
        before = shown(store)
        assert before == [("found", 2), (state, 2)]
        killed = not ends(store, partial(way, store, time, vs, file), point)
        begun = shown(store) == after(state)
        assert begun or (killed and (shown(store) == before or way is expire_store))
        assert_whole(store)
    with closing(opened()) as store, closing(indexes(store)) as manager:
        assert manager.check() == []
        store.retention.expire()
        assert manager.check() == []
        assert shown(store) == (after(state) if begun or way is expire_store else before)
        assert rows(store) == sum(len(held(store, each)) for each in store.changes.store_ids())
        assert store.retention.next_expiry() is None or way is not expire_store
        assert_whole(store)
    return killed


def test_what_leaves_is_neither_claimed_nor_built_nor_switched_to(
    store: Store, vs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.database.engine._ROWS", 4)
    publish(store, vs, "a.txt", ["alpha"])
    attach(store, vs, "b.txt", "beta")
    store.generations.begin(NEW, alone=True)
    index_id = building(store)
    assert not ends(store, partial(store.vector_stores.delete, OWNER, vs), 1)
    assert store.queue.claim("one", 60) is None
    assert store.queue.next_due("one") is None
    assert (store.generations.building(), store.generations.of(None), store.generations.spaces()) == ([], [], [])
    assert (store.generations.switch(index_id), store.generations.lacking(index_id)) == ("gone", None)
    store.generations.begin(NEW, alone=True)
    store.generations.fill(index_id)
    with pytest.raises(NotFound):
        store.generations.drop(OWNER, index_id)
    with pytest.raises(NotFound):
        store.changes.state(index_id)
    assert store.changes.store_ids() == []
    store.retention.expire()
    assert (rows(store), store.queue.unfinished()) == (0, 0)


def test_what_leaves_the_vector_store_is_not_taken_up_by_a_generation(
    store: Store, vs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.database.engine._ROWS", 4)
    file = publish(store, vs, "long.txt", ROWS).file_id
    publish(store, vs, "short.txt", ["short"])
    assert not ends(store, partial(store.attachments.detach, OWNER, vs, file), 1)
    store.generations.begin(NEW, alone=True)
    index_id = building(store)
    assert ingest(store, "new", 8) == ["short.txt"]
    assert store.generations.switch(index_id) == "switched"
    store.retention.expire()
    assert shown(store) == [("found", 1), ("kept", 1)]
    assert_whole(store)


def test_the_tries_of_a_generation_are_its_own(store: Store, vs: str) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    publish(store, vs, "b.txt", ["beta"])
    store.generations.begin(NEW, alone=True)
    building(store)
    for _ in range(2):
        assert store.queue.claim("one", 60, embedders=["new"]) is not None
    store.queue.release_all("one", 60.0)
    first = store.queue.claim("one", 60, embedders=["new"])
    assert first is not None
    assert first.tried.deaths == 1
    assert store.queue.claim("one", 60, embedders=["new"]) is None, "one at a time where somebody died"
    later = attach(store, vs, "c.txt", "gamma")
    assert store.queue.next_due("one", embedders=["synthetic"], beside=False) == 0
    job = store.queue.claim("one", 60, embedders=["synthetic"], beside=False)
    assert job is not None
    assert job.attempt.version == later.version
