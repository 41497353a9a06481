"""The inverted index of learned token weights against brute force over a matrix."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from models.base import FloatArray
from retrieval.indexes.sparse.index import SparseIndex
from retrieval.passages.lexical_weights import encode_weights
from retrieval.store.base.values import StoreUnavailable

VOCABULARY = 40
Weights = dict[int, float]

weights = st.dictionaries(st.integers(0, VOCABULARY - 1), st.floats(2**-10, 4, width=16).map(float), max_size=12)


def filled(documents: Mapping[int, Weights], batch: int = 7) -> SparseIndex:
    index = SparseIndex()
    pairs = [(key, encode_weights(each)) for key, each in documents.items()]
    for first in range(0, len(pairs), batch):
        index.apply(first + 1, pairs[first : first + batch], [])
    return index


def brute_force(documents: Mapping[int, Weights], query: Weights) -> dict[int, float]:
    """Key -> inner product, by scipy, of the weights as float16."""
    keys = list(documents)
    rows = [i for i, key in enumerate(keys) for _ in documents[key]]
    columns = [token for key in keys for token in documents[key]]
    values = np.array([w for key in keys for w in documents[key].values()], np.float16).astype(np.float64)
    matrix = csr_matrix((values, (rows, columns)), (len(keys), VOCABULARY))
    asked = np.zeros(VOCABULARY)
    for token, weight in query.items():
        asked[token] = weight
    return dict(zip(keys, (matrix @ asked).tolist(), strict=True))


def assert_best(
    found: Sequence[tuple[int, float]], documents: Mapping[int, Weights], query: Weights, k: int, allowed: set[int]
) -> None:
    exact = {key: score for key, score in brute_force(documents, query).items() if score > 0 and key in allowed}
    assert {key for key, _ in found} <= set(exact)
    assert len(found) == min(k, len(exact))
    np.testing.assert_allclose([score for _, score in found], [exact[key] for key, _ in found], rtol=1e-5)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    best = sorted(exact.values(), reverse=True)[:k]
    np.testing.assert_allclose([score for _, score in found], best, rtol=1e-5)


def random_weights(rng: np.random.Generator, count: int = 8) -> Weights:
    ids = rng.choice(VOCABULARY, count, replace=False)
    return dict(zip(ids.tolist(), rng.uniform(0.01, 1, count).tolist(), strict=True))


@pytest.fixture
def documents() -> dict[int, Weights]:
    rng = np.random.default_rng(3)
    return {key: random_weights(rng) for key in range(1, 301)}


@settings(deadline=None)
@given(
    documents=st.dictionaries(st.integers(1, 400), weights, max_size=40),
    query=weights,
    k=st.integers(1, 12),
    removed=st.sets(st.integers(1, 400), max_size=10),
    allowed=st.none() | st.sets(st.integers(1, 400)),
    batch=st.integers(1, 9),
)
def test_the_best_are_those_of_brute_force(
    documents: dict[int, Weights], query: Weights, k: int, removed: set[int], allowed: set[int] | None, batch: int
) -> None:
    index = filled(documents, batch)
    index.apply(999, [], removed)
    left = {key: each for key, each in documents.items() if key not in removed}
    assert index.keys() == sorted(left)
    assert len(index) == len(left)
    assert_best(index.search(query, k, allowed), left, query, k, set(left) if allowed is None else allowed)
    exact = brute_force(left, query)
    scores = index.scores(query, [*documents, 5000])
    np.testing.assert_allclose(scores, [*(exact.get(key, 0.0) for key in documents), 0.0], rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.lists(weights, max_size=5), st.lists(st.integers(0, 30), max_size=3)), min_size=1, max_size=12
    ),
    weights,
)
def test_an_index_that_grew_and_shrank_equals_one_made_anew(
    steps: list[tuple[list[Weights], list[int]]], query: Weights
) -> None:
    index, left, key = SparseIndex(), dict[int, Weights](), 0
    for seq, (added, removed) in enumerate(steps, 1):
        new = {key + i: each for i, each in enumerate(added, 1)}
        key += len(added)
        index.apply(seq, [(k, encode_weights(each)) for k, each in new.items()], removed)
        left = {k: each for k, each in left.items() if k not in removed} | new
    anew = filled(left, batch=1000)
    assert index.keys() == anew.keys() == sorted(left)
    assert index.search(query, 50) == anew.search(query, 50)
    assert index.search(query, 50, set(left)) == anew.search(query, 50)
    assert index.applied == len(steps)


def test_a_large_filter_holds_as_a_small_one_does(
    documents: dict[int, Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters above a size are evaluated another way: as a mask over all passages."""
    index, query = filled(documents), {3: 0.5, 7: 0.25, 11: 1.0}
    worst = set(sorted(documents, key=lambda key: brute_force(documents, query)[key])[:200]) | {10**6}
    by_key = index.search(query, 40, worst)
    monkeypatch.setattr("retrieval.indexes.sparse.index._FEW_KEYS", 5)
    assert index.search(query, 40, worst) == by_key
    assert_best(by_key, documents, query, 40, worst)
    assert {hit.key for hit in by_key} <= worst


@pytest.mark.parametrize("allowed", [set(), {9999}, frozenset({10**6})])
def test_a_filter_that_nothing_passes_finds_nothing(documents: dict[int, Weights], allowed: set[int]) -> None:
    assert filled(documents).search({3: 1.0}, 5, allowed) == []


def test_equal_scores_come_by_key_and_the_cut_keeps_the_smaller_keys() -> None:
    index = filled({key: {1: 0.5} for key in (9, 3, 7, 5)}, batch=1)
    assert [hit.key for hit in index.search({1: 1.0}, 3)] == [3, 5, 7]


def test_a_passage_without_a_common_token_is_not_found(documents: dict[int, Weights]) -> None:
    index = filled({1: {1: 0.5}, 2: {2: 0.5}, 3: {}})
    assert [hit.key for hit in index.search({1: 1.0}, 10)] == [1]
    assert index.search({}, 10) == index.search({39: 1.0}, 10) == []
    assert SparseIndex().search({1: 1.0}, 10) == []
    assert SparseIndex().scores({1: 1.0}, [4]).tolist() == [0.0]


def test_scores_are_those_of_search_to_the_last_bit(documents: dict[int, Weights]) -> None:
    index, query = filled(documents), random_weights(np.random.default_rng(8), 20)
    hits = index.search(query, 300)
    assert index.scores(query, [hit.key for hit in hits]).tolist() == [hit.score for hit in hits]


def test_one_passage_more_in_many_moves_only_small_segments() -> None:
    rng = np.random.default_rng(5)
    index = SparseIndex()
    index.apply(1, [(key, encode_weights(random_weights(rng))) for key in range(1, 2001)], [])
    large = index._now.segments[0]
    for key in range(2001, 2201):
        index.apply(key, [(key, encode_weights(random_weights(rng)))], [])
        assert index._now.segments[0] is large
        assert index.segments <= 9
    assert len(index) == 2200


def test_removing_most_passages_gives_their_memory_back(documents: dict[int, Weights]) -> None:
    index = filled(documents)
    index.apply(999, [], list(range(1, 290)))
    assert sum(len(segment.rows) for segment in index._now.segments) <= 2 * 8 * len(index)


def test_applying_twice_doubles_nothing(documents: dict[int, Weights]) -> None:
    index = filled(documents)
    for _ in range(2):
        index.apply(999, [(key, encode_weights({1: 1.0})) for key in (5, 301, 301)], [1, 2, 7777])
    assert index.keys() == list(range(3, 302))
    assert index.scores(documents[5], [5])[0] == pytest.approx(brute_force(documents, documents[5])[5], rel=1e-5)


def test_what_was_saved_is_loaded(documents: dict[int, Weights], tmp_path: Path) -> None:
    index, query = filled(documents), {3: 0.5, 9: 1.0}
    index.apply(888, [], [4, 5])
    index.save(tmp_path / "sparse.index")
    loaded = SparseIndex.load(tmp_path / "sparse.index")
    assert (loaded.applied, loaded.keys()) == (888, index.keys())
    assert loaded.search(query, 100) == index.search(query, 100)
    loaded.apply(889, [(999, encode_weights({3: 4.0}))], [])
    assert loaded.search(query, 1)[0].key == 999
    assert [path.name for path in tmp_path.iterdir()] == ["sparse.index"]


def test_an_empty_index_is_saved_and_loaded(tmp_path: Path) -> None:
    index = SparseIndex()
    index.apply(3, [], [1])
    index.save(tmp_path / "sparse.index")
    loaded = SparseIndex.load(tmp_path / "sparse.index")
    assert (loaded.applied, loaded.keys(), len(loaded)) == (3, [], 0)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def swapped(content: bytes) -> bytes:
    """The first stored row points outside: the magic, three headers of 128 bytes and the arrays before it are whole."""
    return content.replace(np.arange(7, dtype=np.int32).tobytes(), np.full(7, 99, np.int32).tobytes(), 1)


@pytest.mark.parametrize("damage", [cut, swapped, lambda content: b"", lambda content: b"damaged" + content])
def test_a_damaged_file_is_told(
    documents: dict[int, Weights], tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "sparse.index"
    with pytest.raises(FileNotFoundError):
        SparseIndex.load(path)
    filled({key: documents[key] for key in range(1, 8)}).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="cannot be read"):
        SparseIndex.load(path)


def test_a_save_that_dies_leaves_the_old_file(
    documents: dict[int, Weights], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sparse.index"
    index = filled(documents)
    index.save(path)

    def dies(source: Path, target: Path) -> None:
        raise OSError("the power is off")

    index.apply(900, [(900, encode_weights({1: 1.0}))], [])
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", dies)
        with pytest.raises(StoreUnavailable):
            index.save(path)
    assert SparseIndex.load(path).keys() == list(documents)
    index.save(path)
    assert SparseIndex.load(path).keys() == [*documents, 900]


@pytest.mark.parametrize("wrong", [{1: -0.5}, {1: float("nan")}, {1: float("inf")}, {1: 1e6}])
def test_weights_that_the_store_cannot_hold_are_refused(wrong: Weights) -> None:
    with pytest.raises(ValueError, match="weight"):
        encode_weights(wrong)


def test_weights_are_six_bytes_each_and_those_that_vanish_in_half_precision_are_left_out() -> None:
    assert len(encode_weights({5: 0.5, 1: 0.25})) == 12
    assert encode_weights({5: 0.5, 1: 0.25}) == encode_weights({1: 0.25, 5: 0.5, 9: 1e-9, 8: 0.0})
    assert encode_weights({}) == b""
    with pytest.raises(ValueError, match="passage 4 are damaged"):
        SparseIndex().apply(1, [(4, b"12345")], [])


def test_searches_beside_changes_see_whole_changes(documents: dict[int, Weights]) -> None:
    """Keys come and go in pairs: a search must see both or neither."""
    index = filled(documents)
    stop = threading.Event()
    code = encode_weights({7: 8.0})

    def change() -> None:
        for i in range(300):
            first = 1000 + 2 * i
            index.apply(i, [(first, code), (first + 1, code)], [first - 2, first - 1])
        stop.set()

    def searches() -> list[int]:
        seen = []
        while not stop.is_set():
            seen.append(len([hit for hit in index.search({7: 1.0}, 5) if hit.key >= 1000]))
        return seen

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(searches) for _ in range(2)]
        pool.submit(change).result(timeout=60)
        seen = [count for reader in readers for count in reader.result(timeout=60)]
    assert set(seen) <= {0, 2}
    assert len(index) == 302


def test_scores_have_the_type_of_every_leg(documents: dict[int, Weights]) -> None:
    scores: FloatArray = filled(documents).scores({1: 1.0}, [1, 2])
    assert (scores.dtype, scores.shape) == (np.float32, (2,))
