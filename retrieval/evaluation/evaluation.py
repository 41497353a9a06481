"""Measures retrieval on a BEIR folder: every stage's document ranking, on the same pipeline that serves answers.

A document stands where its best chunk stands. A leg gives its 100 best chunks, so recall@100 is of that many
documents at most. Where the learned lexical leg runs, every query is ranked a second time without it.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median

from retrieval.clock import Clock
from retrieval.evaluation.metrics import ndcg, recall, reciprocal_rank
from retrieval.ranking.find import Ranking
from retrieval.ranking.fusion import reciprocal_rank as fuse_ranks
from retrieval.ranking.search import Retriever
from retrieval.store.base.values import NamedStore
from retrieval.store.store import Store
from retrieval.types import SearchParams

LEGS = ("bm25", "dense", "sparse")
WITHOUT_SPARSE = "{} without sparse"
# What a stage costs up to its own end.
_LEGS_CLOCK = ("embed", "legs")
_CLOCK = {
    "fused": (*_LEGS_CLOCK, "fusion", "load"),
    "rerank1": (*_LEGS_CLOCK, "fusion", "load", "rerank1"),
    "rerank2": (*_LEGS_CLOCK, "fusion", "load", "rerank1", "rerank2"),
}


@dataclass(frozen=True, slots=True)
class BeirSet:
    """queries: id -> text, only those with a relevant document. grades: query id -> document id -> grade."""

    name: str
    folder: Path
    queries: Mapping[str, str]
    grades: Mapping[str, Mapping[str, int]]

    @property
    def corpus(self) -> Path:
        return self.folder / "corpus.jsonl"


@dataclass(slots=True)
class StageResult:
    """Per query, aligned over the stages of a set; seconds: until the stage's end."""

    ndcg: list[float] = field(default_factory=list)
    mrr: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, ranked: Sequence[str], grades: Mapping[str, int], seconds: float) -> None:
        self.ndcg.append(ndcg(ranked, grades))
        self.mrr.append(reciprocal_rank(ranked, grades))
        self.recall.append(recall(ranked, grades))
        self.seconds.append(seconds)

    def summary(self) -> dict[str, float]:
        return {
            "ndcg@10": fmean(self.ndcg),
            "mrr@10": fmean(self.mrr),
            "recall@100": fmean(self.recall),
            "p50_ms": median(self.seconds) * 1000,
        }


def load_set(folder: Path) -> BeirSet:
    """Reads queries.jsonl and qrels.tsv. Raises ValueError, naming file and line."""
    for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} is no BEIR folder: {name} is missing")
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    with (folder / "qrels.tsv").open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t"), start=1):
            if number == 1 and row[-1:] == ["score"]:
                continue
            if len(row) != 3 or not row[2].lstrip("-").isdigit():
                raise ValueError(f"{folder / 'qrels.tsv'}:{number}: expected query-id, corpus-id, score")
            grades[row[0]][row[1]] = int(row[2])
    texts = {str(row["_id"]): str(row["text"]) for row in _rows(folder / "queries.jsonl")}
    queries = {name: text for name, text in texts.items() if any(g > 0 for g in grades[name].values())}
    if not queries:
        raise ValueError(f"{folder} has no query with a relevant document")
    return BeirSet(folder.name, folder, queries, grades)


def _rows(path: Path) -> Iterable[dict[str, object]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                row["_id"], row["text"]
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(f"{path}:{number}: {error!r}") from None
            yield row


async def evaluate(
    retriever: Retriever,
    store: Store,
    owner: str,
    store_id: str,
    beir: BeirSet,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, StageResult]:
    """Stage -> its results over all queries of the set; `progress` is told how many are done."""
    named = store.vector_stores.resolve(owner, store_id)
    names = DocumentNames(store, owner, named)
    results: dict[str, StageResult] = {}
    plan = retriever.plan
    plain = retriever.with_plan(replace(plan, ranker=plan.ranker.without("sparse")))
    for done, (query_id, text) in enumerate(beir.queries.items(), 1):
        clock = Clock()
        with clock.stage("embed"):
            vectors = await retriever.vectors(text)
        embedding = dict(clock.seconds)
        ranking = await retriever.rank(owner, [named], vectors, SearchParams(), clock)
        timed = [(stage, keys, clock) for stage, keys in stage_rankings(ranking).items()]
        if "sparse" in ranking.legs:
            again = Clock(embedding)
            ablated = await plain.rank(owner, [named], vectors, SearchParams(), again)
            timed += [(WITHOUT_SPARSE.format(stage), keys, again) for stage, keys in ablated.orders.items()]
        for stage, keys, spent in timed:
            parts = _CLOCK.get(stage.partition(" ")[0], _LEGS_CLOCK)
            seconds = sum(spent.seconds.get(part, 0.0) for part in parts)
            results.setdefault(stage, StageResult()).add(names.of(keys), beir.grades[query_id], seconds)
        progress(done)
    return results


def stage_rankings(ranking: Ranking) -> dict[str, Sequence[int]]:
    """Chunk keys, best first, as each stage leaves them."""
    legs = {leg: [hit.key for hit in ranking.legs[leg]] for leg in LEGS if leg in ranking.legs}
    fused = fuse_ranks(list(legs.values()))
    return {**legs, "rrf": sorted(fused, key=lambda key: -fused[key]), **ranking.orders}


class DocumentNames:
    """Chunk keys to the row ids of their documents, read from the store once each."""

    def __init__(self, store: Store, owner: str, named: NamedStore) -> None:
        self._store, self._owner, self._named = store, owner, named
        self._names: dict[int, str] = {}

    def of(self, keys: Sequence[int]) -> list[str]:
        """Document ids in the order of their best chunk."""
        if missing := [key for key in keys if key not in self._names]:
            passages = self._store.passages.load(self._owner, self._named, missing)
            self._names |= {key: passage.chunk.external_id for key, passage in passages.items()}
        return list(dict.fromkeys(self._names[key] for key in keys if key in self._names))
