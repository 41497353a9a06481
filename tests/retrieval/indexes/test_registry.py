"""A fourth leg is one file, as WordsIndex here, and one line, as KINDS: from the change log to a score in a search."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from models.base import Embedding, FloatArray
from retrieval.filters.allowed import Allowed, Everything, OnlyKeys, PushedDown
from retrieval.filters.syntax import Comparison, Filter
from retrieval.indexes.base.following import FollowingIndex, Kind, PassageReader
from retrieval.indexes.consistency import Difference
from retrieval.indexes.manager import IndexManager
from retrieval.indexes.registry import kinds
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.search import Retriever
from retrieval.ranking.stages import RerankPlan
from retrieval.store.store import Store
from retrieval.types import Hit, QueryVectors, Retrieval, SearchParams
from tests.retrieval.publishing import DIM, named, publish, vector


@dataclass
class WordsLeg:
    """The longest passages, whatever the query is; a filter is evaluated here, on the number of words alone."""

    words: dict[int, int]
    asked: list[Allowed] = field(default_factory=list)
    name: str = "words"
    filters: bool = True

    async def candidates(self, limit: int, allowed: Allowed) -> list[Hit]:
        self.asked.append(allowed)
        match allowed:
            case Everything():
                passing = list(self.words)
            case OnlyKeys():
                passing = [key for key in self.words if key in allowed.keys]
            case PushedDown():
                passing = [key for key, count in self.words.items() if _passes(allowed.filter, count)]
        return [Hit(key, self.words[key]) for key in sorted(passing, key=lambda key: (-self.words[key], key))[:limit]]

    async def scores(self, keys: Sequence[int]) -> FloatArray:
        return np.array([self.words.get(key, 0) for key in keys], np.float32)


def _passes(filter: Filter, words: int) -> bool:
    assert isinstance(filter, Comparison)
    assert (filter.operator, filter.key) == ("gte", "words")
    return words >= float(filter.values[0])


class WordsIndex(FollowingIndex[Sequence[tuple[int, str]]]):
    name = "words"
    file = "words.json"
    legs: list[WordsLeg]

    def __init__(self, words: dict[int, int] | None = None, applied: int = 0) -> None:
        self._words, self._applied = words or {}, applied
        self.legs = []

    @classmethod
    def open(cls, path: Path, dim: int) -> Self:
        if not path.exists():
            return cls()
        applied, words = json.loads(path.read_text())
        return cls({int(key): count for key, count in words.items()}, applied)

    @staticmethod
    def erase(path: Path) -> None:
        path.unlink(missing_ok=True)

    @property
    def applied(self) -> int:
        return self._applied

    def __len__(self) -> int:
        return len(self._words)

    def keys(self) -> list[int]:
        return sorted(self._words)

    def payload(self, passages: PassageReader, keys: Sequence[int]) -> Sequence[tuple[int, str]]:
        return passages.terms(keys)

    def apply(self, seq: int, payload: Sequence[tuple[int, str]], removed: Collection[int]) -> None:
        kept = {key: count for key, count in self._words.items() if key not in removed}
        self._words, self._applied = {key: len(terms.split()) for key, terms in payload} | kept, seq

    def save(self, path: Path) -> None:
        path.write_text(json.dumps([self._applied, self._words]))

    def leg(self, query: QueryVectors) -> WordsLeg | None:
        if query.text == "no words":
            return None
        self.legs.append(WordsLeg(self._words))
        return self.legs[-1]


KINDS = (*kinds(), Kind(WordsIndex, WordsIndex.open))


class Embedder:
    name, dim, lexical = "synthetic", DIM, False

    async def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        return Embedding(np.stack([vector(text) for text in texts]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def vs(store: Store) -> str:
    vs = store.vector_stores.create("ann", "handbook").id
    texts = ["alpha", "beta gamma delta", "beta gamma", "epsilon zeta eta theta"]
    publish(store, vs, "a.csv", texts, rows=[{"words": len(text.split())} for text in texts])
    return vs


async def search(store: Store, manager: IndexManager, vs: str, query: str, **params: Any) -> Retrieval:
    ranker = replace(Ranker.load(), legs={"words": 0.9, "bm25": 0.1})
    embedder: Any = Embedder()
    retriever = Retriever(store, manager, embedder, Tokenizer.load(), RerankPlan(ranker))
    return await retriever.search(
        "ann", named(store, "ann", [vs]), query, SearchParams(min_score=0, rerank=False, **params)
    )


def scores(found: Retrieval, name: str) -> dict[str, float]:
    return {each.scored.chunk.text: each.scored.scores[name] for each in found.candidates}


async def test_its_candidates_and_scores_are_in_a_search(store: Store, vs: str, tmp_path: Path) -> None:
    found = await search(
        store, IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=KINDS), vs, "alpha", candidates=2
    )
    assert found.counts["words"] == 2
    assert set(found.evidence[0].scores) == {"dense", "bm25", "words", "fused"}
    # The two longest are its own; "alpha" is BM25's, and has its words counted too. Two are loaded.
    assert scores(found, "words") == {"epsilon zeta eta theta": 4, "beta gamma delta": 3}


async def test_a_query_that_it_cannot_be_asked_with_goes_without(store: Store, vs: str, tmp_path: Path) -> None:
    found = await search(store, IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=KINDS), vs, "no words")
    assert "words" not in found.counts


async def test_it_gets_the_filter_and_the_others_get_keys(store: Store, vs: str, tmp_path: Path) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=KINDS)
    filters = {"type": "gte", "key": "words", "value": 3}
    found = await search(store, manager, vs, "beta", filters=filters)
    assert scores(found, "words") == {"epsilon zeta eta theta": 4, "beta gamma delta": 3}
    assert manager.indexes(vs)[WordsIndex].legs[-1].asked == [PushedDown(Comparison("gte", "words", (3,)))]


async def test_no_keys_are_read_where_every_leg_evaluates_filters(
    store: Store, vs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.passages, "allowed_keys", None)
    alone = IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=KINDS[-1:])
    filters = {"type": "gte", "key": "words", "value": 4}
    ranker = replace(Ranker.load(), legs={"words": 1.0})
    retriever = Retriever(store, alone, Embedder(), Tokenizer.load(), RerankPlan(ranker))  # type: ignore[arg-type]
    vectors = await retriever.vectors("beta")
    opened = retriever._opened("ann", named(store, "ann", [vs]), vectors, filters)
    assert opened[0].allowed(opened[0].legs[0]) == PushedDown(Comparison("gte", "words", (4,)))


def test_it_follows_the_log_is_checked_rebuilt_and_saved(store: Store, vs: str, tmp_path: Path) -> None:
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=KINDS)
    manager.refresh(vs)
    publish(store, vs, "b.txt", ["iota kappa"])
    manager.refresh(vs)
    assert len(manager.indexes(vs)[WordsIndex]) == 5
    assert manager.check() == []
    (first, *_), seq = store.passages.visible_keys(vs)
    manager.indexes(vs)[WordsIndex].apply(seq, [(99, "")], [first])
    assert manager.check() == [Difference(vs, "words", missing=(first,), extra=(99,))]
    manager.rebuild(vs)
    assert manager.check() == []
    manager.close()
    assert (tmp_path / "indexes" / vs / "words.json").exists()
    assert store.changes.state(vs).floor == store.changes.state(vs).head
    reopened = IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=KINDS)
    assert reopened.check() == []
    assert len(reopened.indexes(vs)[WordsIndex]) == 5


@pytest.mark.parametrize("damage", ["damaged", "[999, {}]"])
def test_it_is_made_anew_where_it_cannot_be_used(store: Store, vs: str, tmp_path: Path, damage: str) -> None:
    first = IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=KINDS)
    first.refresh(vs)
    first.close()
    (tmp_path / "indexes" / vs / "words.json").write_text(damage)
    assert IndexManager(store.changes, store.passages, tmp_path, DIM, kinds=KINDS).check() == []
