"""Indexes on a disk without room: searches go on in them as they are, and they follow when there is room again."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from retrieval.indexes.bm25 import Bm25Index
from retrieval.indexes.dense.index import DenseIndex
from retrieval.indexes.manager import IndexManager
from retrieval.store.base.values import StoreFull, StoreUnavailable
from retrieval.store.store import Store
from tests.retrieval.publishing import DIM, publish, vector
from tests.small_disk import disk, full


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def vs(store: Store) -> str:
    return store.vector_stores.create("ann", "handbook").id


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with disk(tmp_path / "disk", 4 << 20) as mounted:
        yield mounted


def opened(store: Store, folder: Path) -> IndexManager:
    return IndexManager(store.changes, store.passages, folder, DIM)


def head(store: Store, vs: str) -> int:
    return store.changes.state(vs).head


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.new"))


def test_a_search_goes_on_in_the_index_as_it_is_and_knows_how_far_it_is_behind(
    store: Store, vs: str, folder: Path
) -> None:
    with closing(opened(store, folder)) as manager:
        publish(store, vs, "a.txt", ["alpha", "beta"])
        manager.refresh(vs)
        with full(folder):
            publish(store, vs, "b.txt", ["gamma"])
            for _ in range(2):
                with pytest.raises(StoreFull):
                    manager.refresh(vs)
            indexes = manager.indexes(vs)
            assert len(indexes[Bm25Index].search(["alpha"], 5)) == 1
            assert indexes[Bm25Index].search(["gamma"], 5) == []
            assert len(indexes[DenseIndex].search(vector("gamma"), 3)) == 3
            assert manager.behind(vs, head(store, vs)) == 1
        manager.refresh(vs)
        assert manager.behind(vs, head(store, vs)) == 0
        assert len(manager.indexes(vs)[Bm25Index].search(["gamma"], 5)) == 1
        assert manager.check() == []


def test_indexes_are_opened_as_they_are_on_a_full_disk(store: Store, vs: str, folder: Path) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    with closing(opened(store, folder)) as manager:
        manager.refresh(vs)
    publish(store, vs, "b.txt", ["beta", "gamma"])
    with full(folder), closing(opened(store, folder)) as manager:
        assert len(manager.indexes(vs)[Bm25Index].search(["alpha"], 5)) == 1
        assert manager.behind(vs, head(store, vs)) == 2
    with closing(opened(store, folder)) as manager:
        assert manager.check() == []


def test_what_cannot_be_saved_is_as_it_was_on_disk_and_in_the_log(store: Store, vs: str, folder: Path) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    with closing(opened(store, folder)) as manager:
        manager.refresh(vs)
    dense = next(folder.rglob("dense.faiss"))
    before = dense.read_bytes()
    manager = opened(store, folder)
    publish(store, vs, "b.txt", ["beta"])
    manager.refresh(vs)
    with full(folder):
        manager.close()
    assert (dense.read_bytes(), names(folder)) == (before, [])
    with closing(opened(store, folder)) as manager:
        manager.refresh(vs)
        assert manager.check() == []


def test_a_vector_store_whose_indexes_were_never_written_is_refused_for_want_of_room(
    store: Store, vs: str, folder: Path
) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    with closing(opened(store, folder)) as manager:
        with full(folder), pytest.raises(StoreUnavailable):
            manager.indexes(vs)
        manager.refresh(vs)
        assert manager.check() == []


def test_a_scrub_waits_for_room(store: Store, vs: str, folder: Path) -> None:
    with closing(opened(store, folder)) as manager:
        file = publish(store, vs, "a.txt", ["alpha", "beta"])
        publish(store, vs, "b.txt", ["gamma"])
        manager.refresh(vs)
        store.files.delete("ann", file.file_id)
        with full(folder):
            with pytest.raises(StoreFull):
                manager.scrub()
            assert len(manager.indexes(vs)[DenseIndex].search(vector("gamma"), 1)) == 1
        manager.scrub()
        assert manager.check() == []
