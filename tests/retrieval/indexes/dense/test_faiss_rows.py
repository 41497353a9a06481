"""The dense index beyond the size of exact search: in inverted lists, whose recall is measured."""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.base import FloatArray
from retrieval.indexes.dense.faiss_rows import FaissRows, lists_for
from retrieval.indexes.dense.index import DenseConfig, DenseIndex

DIM, COUNT = 24, 3000
CONFIG = DenseConfig(exact_up_to=500, recall=0.99)


def clustered(count: int, seed: int = 7) -> FloatArray:
    """Unit rows around 60 centres, as float16 holds them."""
    centres = np.random.default_rng(0).standard_normal((60, DIM))
    rng = np.random.default_rng(seed)
    rows = centres[rng.integers(0, 60, count)] + rng.standard_normal((count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def exact_index(rows: FloatArray) -> DenseIndex:
    index = DenseIndex(DIM, DenseConfig(exact_up_to=10**9))
    index.apply(1, (list(range(1, len(rows) + 1)), rows), [])
    return index


def keys_of(index: DenseIndex, query: FloatArray, k: int, allowed: set[int] | None = None) -> list[int]:
    return [hit.key for hit in index.search(query, k, allowed)]


def recall(index: DenseIndex, exact: DenseIndex, queries: Sequence[FloatArray], k: int) -> float:
    return float(np.mean([len({*keys_of(index, q, k)} & {*keys_of(exact, q, k)}) / k for q in queries]))


@pytest.fixture(scope="module")
def rows() -> FloatArray:
    return clustered(COUNT)


@pytest.fixture(scope="module")
def exact(rows: FloatArray) -> DenseIndex:
    return exact_index(rows)


@pytest.fixture
def lists(rows: FloatArray) -> DenseIndex:
    index = DenseIndex(DIM, CONFIG)
    index.apply(1, (list(range(1, COUNT + 1)), rows), [])
    assert index.outgrown
    assert index.regroup()
    return index


def test_lists_are_due_above_the_limit_and_again_when_there_are_far_more_vectors(rows: FloatArray) -> None:
    index = DenseIndex(DIM, CONFIG)
    index.apply(1, (list(range(1, 501)), rows[:500]), [])
    assert (index.exact, index.outgrown, index.recall) == (True, False, None)
    index.apply(2, ([501], rows[500:501]), [])
    assert (index.exact, index.outgrown) == (True, True)
    assert index.regroup()
    assert (index.exact, index.outgrown) == (False, False)
    index.apply(3, (list(range(502, 601)), rows[501:600]), [])
    assert not index.outgrown
    index.apply(4, (list(range(601, 1101)), rows[600:1100]), [])
    assert index.outgrown
    assert index.regroup()
    assert (index.exact, index.outgrown, len(index)) == (False, False, 1100)
    assert index.keys() == list(range(1, 1101))


def test_the_recall_that_was_asked_for_is_measured_kept_and_there(
    lists: DenseIndex, exact: DenseIndex, caplog: pytest.LogCaptureFixture
) -> None:
    assert lists.recall is not None
    assert 1 >= lists.recall.at_10 >= CONFIG.recall
    assert lists.recall.at_10 > lists.recall.at_100 > 0.8
    queries = clustered(50, seed=8)
    assert recall(lists, exact, queries, 10) > 0.94
    assert recall(lists, exact, queries, 100) > 0.8
    with caplog.at_level(logging.INFO, "ragpod.dense"):
        lists.regroup()
    assert "3000 vectors are searched in" in caplog.text
    assert f"recall@10 {lists.recall.at_10:.4f}, recall@100 {lists.recall.at_100:.4f}" in caplog.text


def test_the_recall_sets_how_many_lists_are_probed(rows: FloatArray) -> None:
    probes = []
    for wanted in (0.5, 0.999):
        index = DenseIndex(DIM, DenseConfig(exact_up_to=500, recall=wanted))
        index.apply(1, (list(range(1, COUNT + 1)), rows), [])
        index.regroup()
        assert index.recall is not None
        assert index.recall.at_10 >= wanted
        probes.append(index._rows.probes)
    assert probes[0] < probes[1]


def test_scores_are_exact_in_lists_too(lists: DenseIndex, exact: DenseIndex) -> None:
    query = clustered(1, seed=9)[0]
    hits = lists.search(query, 50)
    scores = exact.scores(query, [hit.key for hit in hits])
    np.testing.assert_allclose([hit.score for hit in hits], scores, atol=1e-6)
    np.testing.assert_allclose(lists.scores(query, [hit.key for hit in hits]), scores, atol=1e-6)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.0005, 0.002, 0.02, 0.2, 0.9]), k=st.integers(1, 120))
def test_a_filter_holds_exactly_and_all_that_passes_it_can_be_found(
    lists: DenseIndex, rows: FloatArray, seed: int, share: float, k: int
) -> None:
    rng = np.random.default_rng(seed)
    allowed = {int(key) for key in rng.permutation(COUNT)[: max(1, int(share * COUNT))] + 1} | {10**6}
    found = keys_of(lists, clustered(1, seed)[0], k, allowed)
    assert set(found) <= allowed
    assert len(found) == len(set(found)) == min(k, len(allowed) - 1)


def test_a_selective_filter_is_answered_exactly(lists: DenseIndex, exact: DenseIndex, rows: FloatArray) -> None:
    """Even one of the worst vectors for the query, which lie in the lists that it would never look into."""
    for seed in range(20, 30):
        query = clustered(1, seed)[0]
        worst = {int(i) + 1 for i in np.argsort(rows @ query)[:40]}
        assert keys_of(lists, query, 25, worst) == keys_of(exact, query, 25, worst)


def test_a_filter_that_the_nearest_lists_hold_nothing_of_is_still_answered_in_full(rows: FloatArray) -> None:
    """The lists that are probed for its share of the vectors do not suffice: more are."""
    index = DenseIndex(DIM, DenseConfig(exact_up_to=500, recall=0.1))
    index.apply(1, (list(range(1, COUNT + 1)), rows), [])
    index.regroup()
    query = rows[5]
    worst = {int(i) + 1 for i in np.argsort(rows @ query)[: COUNT // 3]}
    assert index._rows.probes * COUNT / len(worst) < index._rows.lists / 2
    assert len(index.search(query, 100, worst)) == 100


def test_what_comes_and_goes_afterwards_is_found_and_is_gone(lists: DenseIndex, rows: FloatArray) -> None:
    new = clustered(200, seed=11)
    lists.apply(2, (list(range(3001, 3201)), new), list(range(1, 501)))
    assert lists.keys() == list(range(501, 3201))
    assert len(lists) == 2700
    assert keys_of(lists, new[7], 1) == [3008]
    assert not {*keys_of(lists, rows[3], 100)} & set(range(1, 501))
    assert lists.search(rows[3], 5, set(range(1, 501))) == []
    lists.apply(2, ([3001, 700], np.vstack([new[:1], rows[:1]])), [1, 2])  # the log's tail, twice
    assert len(lists) == 2700
    assert lists.scores(rows[699], [700])[0] == pytest.approx(1, abs=1e-3)


def test_what_was_saved_is_loaded_lists_recall_and_all(lists: DenseIndex, tmp_path: Path) -> None:
    path = tmp_path / "dense.faiss"
    lists.save(path)
    loaded = DenseIndex.load(path, DIM, CONFIG)
    assert (loaded.exact, loaded.recall, loaded.applied, loaded.outgrown) == (False, lists.recall, 1, False)
    query = clustered(1, seed=12)[0]
    assert loaded.search(query, 50) == lists.search(query, 50)
    loaded.apply(2, ([3001], clustered(1, seed=13)), [1])
    loaded.save(path)
    assert DenseIndex.load(path, DIM).keys() == list(range(2, 3002))
    assert {each.name for each in tmp_path.iterdir()} == {"dense.faiss", "dense.seq", "dense.recall"}


def test_fewer_vectors_than_the_limit_are_searched_exactly_lists_or_not(lists: DenseIndex, tmp_path: Path) -> None:
    lists.save(tmp_path / "dense.faiss")
    loaded = DenseIndex.load(tmp_path / "dense.faiss", DIM, DenseConfig(exact_up_to=COUNT))
    assert (loaded.exact, loaded.recall, loaded.outgrown, loaded.layout) == (True, None, False, "all")
    for query in clustered(20, seed=15):
        assert keys_of(loaded, query, 100) == keys_of(exact_index(clustered(COUNT)), query, 100)
    lists.apply(2, ([], np.zeros((0, DIM), np.float32)), list(range(1, 2600)))
    assert (lists.exact, lists.outgrown) == (True, False)


def test_changes_and_searches_go_on_beside_a_regrouping(rows: FloatArray, exact: DenseIndex) -> None:
    """A thousand changes, some of them while the vectors are moved: all of them are in the lists afterwards."""
    index = DenseIndex(DIM, CONFIG)
    index.apply(1, (list(range(1, COUNT + 1)), rows), [])
    moving, changed = threading.Event(), threading.Event()

    def stopped() -> bool:  # asked between the steps of a regrouping: holds it until the changes are in
        moving.set()
        assert changed.wait(30)
        return False

    with ThreadPoolExecutor(1) as pool:
        regrouping = pool.submit(index.regroup, stopped)
        assert moving.wait(30)
        assert not index.regroup()  # one at a time
        for i in range(500):
            index.apply(i + 2, ([3001 + i], clustered(1, seed=i)), [1 + i])
        index.apply(600, ([], np.zeros((0, DIM), np.float32)), [3001])
        assert index.exact
        assert len(keys_of(index, rows[700], 50)) == 50
        changed.set()
        assert regrouping.result(timeout=60)
    assert not index.exact
    assert index.keys() == [*range(501, COUNT + 1), *range(3002, 3501)]
    assert keys_of(index, clustered(1, seed=77)[0], 1) == [3078]


def test_a_regrouping_that_is_stopped_changes_nothing(rows: FloatArray) -> None:
    index = DenseIndex(DIM, CONFIG)
    index.apply(1, (list(range(1, 1001)), rows[:1000]), [])
    for after in range(4):
        asked = iter([False] * after + [True] * 100)
        assert not index.regroup(lambda asked=asked: next(asked))  # type: ignore[misc]
        assert index.exact
    assert index.regroup()


def test_fewer_vectors_than_lists_want_is_no_trouble() -> None:
    rows = FaissRows.in_lists(lists_for(2), clustered(6))
    assert rows is not None
    assert len(rows.keys()) == 0
    rows.add(np.array([5]), clustered(1))
    assert rows.search(clustered(1)[0], 3)[1].tolist() == [5]
    index = DenseIndex(DIM, DenseConfig(exact_up_to=0))
    index.apply(1, ([1, 2], clustered(2)), [])
    assert index.regroup()
    assert keys_of(index, clustered(2)[1], 1) == [2]
