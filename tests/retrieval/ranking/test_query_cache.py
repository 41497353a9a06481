"""What the cache of queries holds, whatever is asked."""

import tracemalloc

import numpy as np

from retrieval.ranking.query_cache import BYTES, QueryCache
from retrieval.types import QueryVectors


def query(text: str, tokens: int = 20, dim: int = 384) -> QueryVectors:
    return QueryVectors(text, np.ones(dim, np.float32), np.ones((tokens, dim), np.float32), text.split())


def test_a_known_query_is_found_and_the_one_that_was_longest_unused_leaves() -> None:
    one, two, three = query("one"), query("two"), query("three")
    cache = QueryCache(limit=90_000)  # of 33 kB each
    cache.put(one)
    cache.put(two)
    assert cache.get("one") is not None
    cache.put(three)
    assert [cache.get(text) is not None for text in ("one", "two", "three")] == [True, False, True]
    assert cache.get("never") is None


def test_the_same_query_again_counts_once() -> None:
    cache = QueryCache()
    cache.put(query("one"))
    size = cache.bytes
    cache.put(query("one"))
    assert (len(cache), cache.bytes) == (1, size)


def test_ten_thousand_long_queries_stay_within_the_limit() -> None:
    tracemalloc.start()
    try:
        cache = QueryCache()
        for i in range(10_000):
            cache.put(query(f"{i} " + "word" * 1000, tokens=64))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cache.bytes <= BYTES
    assert held < 1.25 * BYTES
    assert len(cache) > 200


def test_a_huge_query_is_not_kept() -> None:
    cache = QueryCache()
    cache.put(query("small"))
    cache.put(query(" ".join(f"word{i}" for i in range(100_000))))
    assert len(cache) == 1
    assert cache.get("small") is not None


def test_rows_of_a_batch_are_kept_without_the_batch() -> None:
    batch = np.ones((1000, 20, 384), np.float32)
    cache = QueryCache()
    cache.put(QueryVectors("one", batch[0, 0], batch[0], ["one"]))
    kept = cache.get("one")
    assert kept is not None
    assert kept.dense.base is None
    assert kept.tokens.base is None
