import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from retrieval.indexes.bm25 import Bm25Index

WORDS = [f"w{i}" for i in range(400)] + ["환불", "배송", "c++", "os.path", "don't", "a_b", "c#", "3.11"]


def passages(count: int, seed: int = 3) -> list[list[str]]:
    rng = random.Random(seed)
    weights = [1 / (rank + 1) for rank in range(len(WORDS))]
    return [rng.choices(WORDS, weights, k=rng.randint(5, 120)) for _ in range(count)]


def rows(texts: list[list[str]], first: int = 1) -> list[tuple[int, str]]:
    return [(key, " ".join(text)) for key, text in enumerate(texts, first)]


class Oracle(BM25Okapi):  # type: ignore[misc]
    """rank_bm25 with the idf of Lucene, which tantivy uses too."""

    def _calc_idf(self, frequencies: dict[str, int]) -> None:
        for word, df in frequencies.items():
            self.idf[word] = np.log1p((self.corpus_size - df + 0.5) / (df + 0.5))


@pytest.fixture
def texts() -> list[list[str]]:
    return passages(600)


@pytest.fixture
def index(tmp_path: Path, texts: list[list[str]]) -> Bm25Index:
    filled = Bm25Index(tmp_path / "bm25")
    filled.apply(1, rows(texts[:400]), [])
    filled.apply(2, rows(texts[400:], 401), [])
    return filled


def test_scores_agree_with_the_oracle(index: Bm25Index, texts: list[list[str]]) -> None:
    oracle = Oracle(texts, k1=1.2, b=0.75)
    rng = random.Random(5)
    for _ in range(20):
        query = rng.choices(WORDS, k=4)
        expected = oracle.get_scores(query)
        found = index.scores(query, range(1, 601))
        assert np.array_equal(found > 0, expected > 0)
        matching = expected > 0
        np.testing.assert_allclose(found[matching], expected[matching], rtol=0.06)  # lengths are kept in one byte
        ranks = [np.argsort(np.argsort(-scores[matching])) for scores in (found, expected)]
        assert np.corrcoef(*ranks)[0, 1] > 0.97


def test_idf_is_lucenes(index: Bm25Index, texts: list[list[str]]) -> None:
    terms = ["환불", "c++", "w0", "unheard"]
    df = [sum(term in text for text in texts) for term in terms]
    idf = index.frequencies(terms).idf()
    np.testing.assert_allclose(idf, [np.log1p((600 - n + 0.5) / (n + 0.5)) for n in df], rtol=1e-5)


def test_scores_of_any_keys_are_those_of_search(index: Bm25Index) -> None:
    query = ["w3", "환불", "c++", "w40"]
    hits = index.search(query, 600)
    scores = index.scores(query, [hit.key for hit in hits])
    np.testing.assert_allclose(scores, [hit.score for hit in hits], rtol=1e-6)
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.key))
    without = [*sorted(set(range(1, 601)) - {hit.key for hit in hits})[:5], 9999]
    assert index.scores(query, without).tolist() == [0.0] * len(without)


@pytest.mark.parametrize("term", ["환불", "c++", "os.path", "don't", "a_b", "c#", "3.11"])
def test_terms_with_odd_characters_are_found(index: Bm25Index, texts: list[list[str]], term: str) -> None:
    wanted = {key for key, text in enumerate(texts, 1) if term in text}
    assert {hit.key for hit in index.search([term], 600)} == wanted
    assert wanted


@pytest.mark.parametrize("term", ["x:y", "AND", "(", '"', "*", "-", "a\u00a0b", "\u200b", "\U0001f600", "x" * 5000])
def test_a_term_is_never_query_syntax(tmp_path: Path, term: str) -> None:
    index = Bm25Index(tmp_path / "bm25")
    index.apply(1, [(1, f"plain {term} words"), (2, "other words")], [])
    assert [hit.key for hit in index.search([term], 9)][:1] == [1]


def test_a_repeated_term_counts_as_often_as_it_stands(index: Bm25Index) -> None:
    once, thrice = index.scores(["환불"], range(1, 601)), index.scores(["환불"] * 3, range(1, 601))
    np.testing.assert_allclose(thrice, 3 * once, rtol=1e-5)


@pytest.mark.parametrize("size", [10, 300])
def test_a_filter_holds(index: Bm25Index, size: int) -> None:
    allowed = set(random.Random(1).sample(range(1, 601), size))
    everything = index.search(["w0", "w1", "환불"], 600)
    expected = [hit.key for hit in everything if hit.key in allowed]
    found = index.search(["w0", "w1", "환불"], 50, allowed)
    assert [hit.key for hit in found] == expected[:50]


def test_a_filter_of_many_keys_holds_as_well(tmp_path: Path) -> None:
    index = Bm25Index(tmp_path / "bm25")
    index.apply(1, [(key, f"common w{key % 7}") for key in range(1, 9001)], [])
    allowed = set(range(4001, 9001))
    found = index.search(["common", "w3"], 100, allowed)
    assert len(found) == 100
    assert all(hit.key in allowed and hit.key % 7 == 3 for hit in found)
    assert index.search(["common"], 5, set()) == []


def test_changes_are_incremental_and_applying_twice_doubles_nothing(index: Bm25Index) -> None:
    index.apply(3, [(601, "환불 unique")], [1, 2, 777])
    index.apply(3, [(601, "환불 unique")], [1, 2])
    assert index.keys() == list(range(3, 602))
    assert len(index) == 599
    assert [hit.key for hit in index.search(["unique"], 9)] == [601]
    assert 1 not in {hit.key for hit in index.search(["w0"], 600)}


def test_what_was_applied_is_there_after_opening_again(index: Bm25Index, tmp_path: Path) -> None:
    hits = index.search(["w3", "환불"], 10)
    again = Bm25Index(tmp_path / "bm25")
    assert again.applied == 2
    assert again.search(["w3", "환불"], 10) == hits


def test_a_damaged_index_is_told(index: Bm25Index, tmp_path: Path) -> None:
    (tmp_path / "bm25" / "meta.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        Bm25Index(tmp_path / "bm25")
    Bm25Index.erase(tmp_path / "bm25")
    assert len(Bm25Index(tmp_path / "bm25")) == 0


def test_queries_without_terms_and_empty_indexes_find_nothing(index: Bm25Index, tmp_path: Path) -> None:
    assert index.search([], 5) == []
    assert index.search(["", "\n"], 5) == []
    assert index.search(["w0"], 0) == []
    assert index.scores([], [1, 2]).tolist() == [0, 0]
    empty = Bm25Index(tmp_path / "empty")
    assert empty.search(["w0"], 5) == []
    assert empty.scores(["w0"], [1]).tolist() == [0]
    assert empty.frequencies(["w0"]).idf().tolist() == [0]


def test_a_query_of_ten_thousand_terms_is_cut_to_its_most_telling_ones(index: Bm25Index) -> None:
    noise = [f"noise{i}" for i in range(10_000)]
    hits = index.search([*noise[:5000], "환불", "환불", *noise[5000:]], 10)
    assert len(hits) <= 10
    counted = Counter(index.search(["w0"] * 10_000, 3))
    assert len(counted) == 3


def test_what_a_broken_commit_has_left_does_not_stop_the_next(tmp_path: Path) -> None:
    """Deletions are files named by the commit's number: after a full disk, or a kill, the number comes again."""
    index = Bm25Index(tmp_path / "bm25")
    index.apply(1, rows([["alpha", "beta"], ["gamma"]]), [])
    for segment in (tmp_path / "bm25").glob("*.term"):
        for stamp in range(20):
            segment.with_suffix(f".{stamp}.del").write_bytes(b"half")
    index.apply(2, [], [1])
    assert index.keys() == [2]
    assert Bm25Index(tmp_path / "bm25").keys() == [2]
