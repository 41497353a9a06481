import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from retrieval.indexes.bm25 import Bm25Index
from retrieval.indexes.consistency import Difference
from retrieval.indexes.dense.index import DenseConfig, DenseIndex
from retrieval.indexes.manager import IndexManager
from retrieval.indexes.registry import kinds
from retrieval.store.base.values import EmbedderMismatch, NotFound
from retrieval.store.store import Store
from tests.retrieval.publishing import DIM, passages, publish, texts, vector
from tests.retrieval.watching import Asked
from tests.until import until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path)) as opened:
        yield opened


@pytest.fixture
def vs(store: Store) -> str:
    return store.vector_stores.create("ann", "handbook").id


def found(store: Store, manager: IndexManager, vs: str, word: str) -> tuple[list[str], list[str]]:
    """Texts that BM25 finds by the word, and the text whose vector is nearest."""
    manager.refresh(vs)
    lexical = [hit.key for hit in manager.indexes(vs)[Bm25Index].search([word], 10)]
    dense = [hit.key for hit in manager.indexes(vs)[DenseIndex].search(vector(word), 1)]
    loaded = passages(store, vs, [*lexical, *dense])
    return [loaded[key].chunk.text for key in lexical], [loaded[key].chunk.text for key in dense]


def test_what_is_published_is_found_by_both_legs(store: Store, vs: str, tmp_path: Path) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    publish(store, vs, "a.txt", ["alpha", "beta"])
    assert found(store, manager, vs, "alpha") == (["alpha"], ["alpha"])
    publish(store, vs, "b.txt", ["gamma"])
    assert found(store, manager, vs, "gamma") == (["gamma"], ["gamma"])
    assert manager.check() == []


def test_an_empty_store_has_empty_indexes_that_stay_open(store: Store, vs: str, tmp_path: Path) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    indexes = manager.indexes(vs)
    assert indexes[DenseIndex].search(vector("alpha"), 5) == indexes[Bm25Index].search(["alpha"], 5) == []
    assert all(one is other for one, other in zip(indexes, manager.indexes(vs), strict=True))
    assert manager.check() == []


def test_a_replaced_file_leaves_nothing_of_the_old_one(store: Store, vs: str, tmp_path: Path) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    publish(store, vs, "a.txt", ["alpha", "beta"])
    assert len(manager.indexes(vs)[DenseIndex]) == len(manager.indexes(vs)[Bm25Index]) == 2
    publish(store, vs, "a.txt", ["alpha", "delta", "beta"])
    assert found(store, manager, vs, "delta") == (["delta"], ["delta"])
    assert len(manager.indexes(vs)[DenseIndex]) == len(manager.indexes(vs)[Bm25Index]) == 3
    assert manager.check() == []


def test_indexes_catch_up_after_a_crash(store: Store, vs: str, tmp_path: Path) -> None:
    """The first manager is never closed: its dense index was never written."""
    publish(store, vs, "a.txt", ["alpha", "beta"])
    IndexManager(store.changes, store.passages, tmp_path, DIM).refresh(vs)
    gone = publish(store, vs, "b.txt", ["gamma"])
    publish(store, vs, "c.txt", ["delta"])
    store.attachments.detach("ann", vs, gone.file_id)
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert found(store, reopened, vs, "delta") == (["delta"], ["delta"])
    assert reopened.check() == []


def test_a_crash_between_an_index_and_its_seq_doubles_nothing(store: Store, vs: str, tmp_path: Path) -> None:
    folder = tmp_path / "indexes" / vs
    publish(store, vs, "a.txt", ["alpha", "beta"])
    first = IndexManager(store.changes, store.passages, tmp_path, DIM)
    first.refresh(vs)
    (folder / "bm25.seq").write_text("0")
    first.indexes(vs)[DenseIndex].save(folder / "dense.faiss")
    (folder / "dense.seq").write_text("0")
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert len(reopened.indexes(vs)[Bm25Index]) == len(reopened.indexes(vs)[DenseIndex]) == 2
    assert reopened.check() == []


def test_closed_indexes_open_without_reading_the_store_again(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", [f"word{i}" for i in range(50)])
    first = IndexManager(store.changes, store.passages, tmp_path, DIM)
    first.refresh(vs)
    first.close()
    asked = Asked(store)
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert found(store, reopened, vs, "word7") == (["word7"], ["word7"])
    assert asked.rows == 0
    state = store.changes.state(vs)
    assert state.floor == state.head == 50


def test_an_index_that_the_log_does_not_reach_back_to_is_filled_anew(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", ["alpha", "beta"])
    first = IndexManager(store.changes, store.passages, tmp_path, DIM)
    first.refresh(vs)
    first.close()
    for file in (tmp_path / "indexes" / vs).glob("*.seq"):
        file.unlink()
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert found(store, reopened, vs, "beta") == (["beta"], ["beta"])
    assert reopened.check() == []


@pytest.mark.parametrize("name", ["dense.faiss", "bm25/meta.json"])
def test_a_damaged_index_is_made_anew(store: Store, vs: str, tmp_path: Path, name: str) -> None:
    publish(store, vs, "a.txt", ["alpha", "beta"])
    first = IndexManager(store.changes, store.passages, tmp_path, DIM)
    first.refresh(vs)
    first.close()
    (tmp_path / "indexes" / vs / name).write_bytes(b"damaged")
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert found(store, reopened, vs, "alpha") == (["alpha"], ["alpha"])
    assert reopened.check() == []


def test_check_tells_what_differs_and_rebuild_heals_it(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", ["alpha", "beta"])
    (one, two), seq = store.passages.visible_keys(vs)
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    manager.indexes(vs)[DenseIndex].apply(seq, ([99], vector("extra")[None]), [one])
    manager.indexes(vs)[Bm25Index].apply(seq, [], [two])
    assert manager.check("ann") == [
        Difference(vs, "bm25", missing=(two,)),
        Difference(vs, "dense", missing=(one,), extra=(99,)),
    ]
    assert manager.check("bob") == []
    manager.rebuild(vs)
    assert manager.check() == []
    assert found(store, manager, vs, "beta") == (["beta"], ["beta"])


def test_a_passage_without_a_vector_is_a_difference(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    (key,), _ = store.passages.visible_keys(vs)
    with store.database.write() as db:
        db.exec_driver_sql("DELETE FROM vectors")
    differences = IndexManager(store.changes, store.passages, tmp_path, DIM).check()
    assert Difference(vs, "vectors", missing=(key,)) in differences


@pytest.mark.parametrize("count", [8_000, pytest.param(100_000, marks=pytest.mark.heavy)])
def test_one_document_more_in_a_hundred_thousand_rebuilds_nothing(
    store: Store, vs: str, tmp_path: Path, count: int
) -> None:
    for part in range(4):
        publish(store, vs, f"{part}.csv", [f"row{part}x{i} common" for i in range(count // 4)])
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    manager.refresh(vs)
    folder = tmp_path / "indexes" / vs
    dense, bm25 = manager.indexes(vs)[DenseIndex], manager.indexes(vs)[Bm25Index]
    vectors_file = (folder / "dense.faiss").stat()
    segments = {path.name: path.stat().st_size for path in (folder / "bm25").glob("*.store")}
    asked = Asked(store)
    publish(store, vs, "one.txt", ["needle"])
    assert found(store, manager, vs, "needle") == (["needle"], ["needle"])
    assert asked.rows == 2  # one row of terms, one vector
    assert manager.indexes(vs)[DenseIndex] is dense
    assert manager.indexes(vs)[Bm25Index] is bm25
    assert (folder / "dense.faiss").stat() == vectors_file
    largest = max(segments, key=segments.__getitem__)
    assert (folder / "bm25" / largest).stat().st_size == segments[largest]
    assert len(dense) == len(bm25) == count + 1


def test_a_deleted_store_takes_its_indexes_along(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    manager.refresh(vs)
    other = store.vector_stores.create("ann", "other").id
    manager.refresh(other)
    store.vector_stores.delete("ann", vs)
    store.vector_stores.delete("ann", other)
    with pytest.raises(NotFound):
        manager.indexes(vs)
    assert not (tmp_path / "indexes" / vs).exists()
    IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert list((tmp_path / "indexes").iterdir()) == []


@pytest.mark.parametrize(("dim", "name"), [(DIM * 2, "synthetic"), (DIM, "another")])
def test_vectors_of_another_model_are_never_searched(
    store: Store, vs: str, tmp_path: Path, dim: int, name: str
) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    manager = IndexManager(store.changes, store.passages, tmp_path, dim, name)
    with pytest.raises(EmbedderMismatch, match="holds vectors of synthetic"):
        manager.indexes(vs)


def test_a_manager_without_a_dimension_takes_every_store_as_it_is(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", ["alpha"])
    empty = store.vector_stores.create("ann", "empty").id
    manager = IndexManager(store.changes, store.passages, tmp_path)
    manager.rebuild()
    assert manager.check() == []
    held, none = manager.indexes(vs)[DenseIndex], manager.indexes(empty)[DenseIndex]
    assert (held.dim, len(held), len(none)) == (DIM, 1, 0)
    manager.close()
    assert found(store, IndexManager(store.changes, store.passages, tmp_path, DIM, "synthetic"), vs, "alpha") == (
        ["alpha"],
        ["alpha"],
    )


def test_more_stores_than_are_kept_open_all_answer(store: Store, tmp_path: Path) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM, max_open=3)
    stores = [store.vector_stores.create("ann", f"s{i}").id for i in range(7)]
    for i, vs in enumerate(stores):
        publish(store, vs, "a.txt", [f"word{i}"])
        manager.refresh(vs)
    assert (tmp_path / "indexes" / stores[0] / "dense.faiss").exists()  # put away
    for i, vs in enumerate(stores):
        assert found(store, manager, vs, f"word{i}") == ([f"word{i}"], [f"word{i}"])
    assert manager.check() == []


def test_searches_go_on_beside_changes_in_many_threads(store: Store, vs: str, tmp_path: Path) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    publish(store, vs, "keep.txt", ["alpha"])
    stop = threading.Event()

    def search() -> int:
        count = 0
        while not stop.is_set() or not count:
            assert found(store, manager, vs, "alpha") == (["alpha"], ["alpha"])
            count += 1
        return count

    def change() -> None:
        for i in range(8):
            publish(store, vs, "change.txt", [f"beta{i}", f"gamma{i}"])
            manager.refresh(vs)

    with ThreadPoolExecutor(3) as pool:
        searches = [pool.submit(search) for _ in range(2)]
        pool.submit(change).result(timeout=120)
        stop.set()
        assert all(each.result(timeout=60) > 0 for each in searches)
    assert manager.check() == []
    assert sorted(texts(store, vs)) == ["alpha", "beta7", "gamma7"]


def test_dense_scores_are_the_stored_vectors_products(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", ["alpha", "beta"])
    keys, _ = store.passages.visible_keys(vs)
    scores = (
        IndexManager(store.changes, store.passages, tmp_path, DIM).indexes(vs)[DenseIndex].scores(vector("alpha"), keys)
    )
    np.testing.assert_allclose(scores, [1, vector("alpha") @ vector("beta")], atol=2e-3)


SOON = DenseConfig(exact_up_to=80)


async def test_a_store_that_outgrows_exact_search_is_regrouped_beside_its_searches(
    store: Store, vs: str, tmp_path: Path
) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=kinds(SOON))
    publish(store, vs, "a.txt", [f"word{i}" for i in range(80)])
    manager.refresh(vs)
    assert manager.indexes(vs)[DenseIndex].exact
    assert manager.recalls() == {}
    publish(store, vs, "b.txt", ["needle"])
    assert found(store, manager, vs, "needle") == (["needle"], ["needle"])
    await until(lambda: not manager.indexes(vs)[DenseIndex].exact, within=30)
    assert found(store, manager, vs, "needle") == (["needle"], ["needle"])
    assert manager.recalls()[vs] >= SOON.recall
    assert manager.check() == []
    manager.close()  # waits for the lists to be on disk
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=kinds(SOON))
    assert not reopened.indexes(vs)[DenseIndex].exact
    assert found(store, reopened, vs, "word7") == (["word7"], ["word7"])
    assert reopened.check() == []


def test_a_rebuilt_index_has_its_lists_when_the_rebuild_returns(store: Store, vs: str, tmp_path: Path) -> None:
    publish(store, vs, "a.txt", [f"word{i}" for i in range(100)])
    manager = IndexManager(store.changes, store.passages, tmp_path, kinds=kinds(SOON))
    manager.rebuild(vs)
    assert not manager.indexes(vs)[DenseIndex].exact
    manager.close()
    assert not IndexManager(store.changes, store.passages, tmp_path, kinds=kinds(SOON)).indexes(vs)[DenseIndex].exact


def test_a_store_may_be_deleted_while_it_is_regrouped(store: Store, tmp_path: Path) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=kinds(SOON))
    for _ in range(5):
        vs = store.vector_stores.create("ann", "short-lived").id
        publish(store, vs, "a.txt", [f"word{i}" for i in range(100)])
        manager.refresh(vs)
        store.vector_stores.delete("ann", vs)
        manager.forget(vs)
    manager.close()
    assert list((tmp_path / "indexes").iterdir()) == []
