import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.base import FloatArray
from retrieval.indexes.dense.index import DenseIndex

DIM = 24


def unit_rows(count: int, seed: int = 7) -> FloatArray:
    rows = np.random.default_rng(seed).standard_normal((count, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def rows() -> FloatArray:
    return unit_rows(500)


@pytest.fixture
def index(rows: FloatArray) -> DenseIndex:
    filled = DenseIndex(DIM)
    filled.apply(1, (list(range(1, 501)), rows), [])
    return filled


def test_the_best_are_the_exact_best(index: DenseIndex, rows: FloatArray) -> None:
    query = unit_rows(1, 8)[0]
    exact = rows.astype(np.float16).astype(np.float32) @ query
    hits = index.search(query, 20)
    assert [hit.key for hit in hits] == [int(i) + 1 for i in np.argsort(-exact, kind="stable")[:20]]
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(exact)[::-1][:20], atol=1e-5)


def test_half_precision_loses_no_rank_that_matters(index: DenseIndex, rows: FloatArray) -> None:
    queries = unit_rows(50, 9)
    recall = [
        len({hit.key for hit in index.search(q, 10)} & {int(i) + 1 for i in np.argsort(-(rows @ q))[:10]}) / 10
        for q in queries
    ]
    assert np.mean(recall) > 0.995


def test_a_filter_holds_for_every_hit_and_finds_all_of_k(index: DenseIndex, rows: FloatArray) -> None:
    query = unit_rows(1, 10)[0]
    worst = {int(i) + 1 for i in np.argsort(rows @ query)[:30]}
    hits = index.search(query, 25, worst)
    assert len(hits) == 25
    assert {hit.key for hit in hits} <= worst
    assert len(index.search(query, 100, worst)) == 30


@pytest.mark.parametrize("allowed", [set(), {9999}, frozenset({10**6})])
def test_a_filter_that_nothing_passes_finds_nothing(index: DenseIndex, allowed: set[int]) -> None:
    assert index.search(unit_rows(1)[0], 5, allowed) == []


def test_scores_are_those_of_search_for_any_keys(index: DenseIndex) -> None:
    query = unit_rows(1, 11)[0]
    hits = index.search(query, 500)
    scores = index.scores(query, [hit.key for hit in hits] + [9999])
    np.testing.assert_allclose(scores[:-1], [hit.score for hit in hits], atol=1e-5)
    assert scores[-1] == 0
    assert index.scores(query, []).shape == (0,)


def test_equal_scores_come_by_key() -> None:
    index = DenseIndex(DIM)
    row = unit_rows(1)
    index.apply(1, ([9, 3, 7, 5], np.repeat(row, 4, 0)), [])
    assert [hit.key for hit in index.search(row[0], 4)] == [3, 5, 7, 9]


def test_removed_keys_are_gone_and_applying_twice_doubles_nothing(index: DenseIndex, rows: FloatArray) -> None:
    index.apply(2, ([501], unit_rows(1, 12)), [1, 2, 777])
    index.apply(2, ([501, 3], np.vstack([unit_rows(1, 12), rows[:1]])), [1, 2])
    assert index.keys() == list(range(3, 502))
    assert len(index) == 499
    assert index.scores(rows[2], [3])[0] == pytest.approx(1, abs=1e-3)


def test_what_was_saved_is_loaded(index: DenseIndex, rows: FloatArray, tmp_path: Path) -> None:
    index.save(tmp_path / "dense.faiss")
    loaded = DenseIndex.load(tmp_path / "dense.faiss", DIM)
    assert (loaded.applied, loaded.keys()) == (1, index.keys())
    assert loaded.search(rows[4], 5) == index.search(rows[4], 5)
    loaded.apply(2, ([501], unit_rows(1, 13)), [1])
    loaded.save(tmp_path / "dense.faiss")
    assert DenseIndex.load(tmp_path / "dense.faiss", DIM).keys() == list(range(2, 502))
    assert {path.name for path in tmp_path.iterdir()} == {"dense.faiss", "dense.seq"}


def test_a_damaged_file_or_another_dimension_is_told(index: DenseIndex, tmp_path: Path) -> None:
    path = tmp_path / "dense.faiss"
    with pytest.raises(FileNotFoundError):
        DenseIndex.load(path, DIM)
    index.save(path)
    with pytest.raises(ValueError, match="24 dimensions, not 32"):
        DenseIndex.load(path, 32)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be read"):
        DenseIndex.load(path, DIM)


def test_wrong_shapes_are_refused(index: DenseIndex) -> None:
    with pytest.raises(ValueError, match="vectors for 2 keys"):
        index.apply(2, ([1, 2], unit_rows(1)), [])
    with pytest.raises(ValueError, match="query vector"):
        index.search(np.zeros(DIM + 1, np.float32), 3)


def test_searches_beside_changes_see_whole_changes(index: DenseIndex, rows: FloatArray) -> None:
    """Keys come and go in pairs of equal vectors: a search must see both or neither."""
    row = unit_rows(1, 14)
    stop = threading.Event()

    def change() -> None:
        for i in range(200):
            first = 1000 + 2 * i
            index.apply(i, ([first, first + 1], np.repeat(row, 2, 0)), [first - 2, first - 1])
        stop.set()

    def searches() -> list[int]:
        seen = []
        while not stop.is_set():
            seen.append(len([hit for hit in index.search(row[0], 5) if hit.key >= 1000]))
        return seen

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(searches) for _ in range(2)]
        pool.submit(change).result(timeout=60)
        seen = [count for reader in readers for count in reader.result(timeout=60)]
    assert set(seen) <= {0, 2}
    assert len(index) == 502
