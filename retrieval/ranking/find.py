"""Ranks the passages of the vector stores of one query: legs, fusion and both rerank stages, with every score kept.

Several vector stores are searched as one: their candidates are fused and ranked together, under one budget.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from models.base import FloatArray
from retrieval.clock import Clock
from retrieval.filters.allowed import Allowed, Everything, OnlyKeys, PushedDown
from retrieval.filters.syntax import Filter
from retrieval.indexes.base.frequencies import Frequencies, together
from retrieval.indexes.base.leg import Leg, exact_scores
from retrieval.ranking.features import Candidates, Query
from retrieval.ranking.fusion import convex
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.rerank import rerank
from retrieval.ranking.stages import STAGE_2_KEEPS, RerankPlan, Stages
from retrieval.store.types import Passage
from retrieval.threads import Threads
from retrieval.types import Hit, QueryVectors

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SearchedStore:
    """One vector store of a query: its legs, and how terms and passages are looked up (both may block).

    keys: that may be found; None is everything. filter: the same for a leg that evaluates filters itself.
    """

    legs: Sequence[Leg]
    frequencies: Callable[[Sequence[str]], Frequencies | None]
    load: Callable[[Sequence[int]], Mapping[int, Passage]]
    keys: Set[int] | None = None
    filter: Filter | None = None

    def allowed(self, leg: Leg) -> Allowed:
        if leg.filters and self.filter is not None:
            return PushedDown(self.filter)
        return Everything() if self.keys is None else OnlyKeys(self.keys)


@dataclass(frozen=True, slots=True)
class Ranking:
    """All candidates of one query, best first; scores and probability are aligned with passages.

    legs: each leg's own list. orders: stage that ran -> chunk keys as it left them. kept: stage -> how many passages
    went beyond it. probability: of the last stage that ran. skipped: stages that were not needed, in words.
    """

    passages: Sequence[Passage] = ()
    scores: Sequence[Mapping[str, float]] = ()
    probability: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    legs: Mapping[str, Sequence[Hit]] = field(default_factory=dict)
    orders: Mapping[str, Sequence[int]] = field(default_factory=dict)
    kept: Mapping[str, int] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates after fusion, best first, before any rerank stage."""

    vectors: QueryVectors
    passages: Sequence[Passage]
    query: Query
    candidates: Candidates
    fused: FloatArray
    legs: Mapping[str, Sequence[Hit]]


class _Place(NamedTuple):
    """Where a candidate is. store: its number among those that are searched."""

    store: int
    key: int


async def find(
    query: QueryVectors,
    stores: Sequence[SearchedStore],
    ranker: Ranker,
    limit: int,
    title_terms: Callable[[str], Sequence[str]],
    clock: Clock,
    reads: Threads,
) -> Found:
    """`limit` from each leg that the ranker names, exact scores of all in every leg, fused, the best `limit` loaded.

    reads: the store's.
    """
    with clock.stage("legs"):
        legs, pool = await _candidates(stores, ranker, limit)
    with clock.stage("fusion"):
        exact = await _exact(stores, pool)
        fused = convex({name: scores for name, scores in exact.items() if name in ranker.legs}, ranker.legs)
        order = np.argsort(-fused, kind="stable")[:limit]
    with clock.stage("load"):
        terms = list(dict.fromkeys(query.terms))
        loaded, idf = await reads.run(_loaded, stores, [pool[i] for i in order], terms)
        # A passage that was deleted since the legs ran is simply no candidate any more.
        order = np.array([i for i in order if pool[i] in loaded], np.intp)
        passages = [loaded[pool[i]] for i in order]
        candidates = Candidates(
            documents=[p.chunk.document_id for p in passages],
            scores={name: values[order] for name, values in exact.items()},
            texts=[p.terms for p in passages],
            titles=[title_terms(p.chunk.title) for p in passages],
        )
    return Found(query, passages, Query(terms, idf), candidates, fused[order], legs)


async def _candidates(
    stores: Sequence[SearchedStore], ranker: Ranker, limit: int
) -> tuple[dict[str, list[Hit]], list[_Place]]:
    """Each leg's own list, over all stores, and where the candidates of all of them are, rank by rank."""
    asked = [(i, leg) for i, store in enumerate(stores) for leg in store.legs if leg.name in ranker.legs]
    hits = await asyncio.gather(*(leg.candidates(limit, stores[i].allowed(leg)) for i, leg in asked))
    lists: dict[str, list[Hit]] = {}
    for (_, leg), found in zip(asked, hits, strict=True):
        lists.setdefault(leg.name, []).extend(found)
    places = [[_Place(i, hit.key) for hit in found] for (i, _), found in zip(asked, hits, strict=True)]
    ordered = {name: sorted(found, key=lambda hit: -hit.score) for name, found in lists.items()}
    return ordered, list(dict.fromkeys(_by_rank(places)))


def _by_rank(lists: Sequence[Sequence[T]]) -> Iterator[T]:
    """The first of each, then the second of each; shorter ones end early."""
    for rank in range(max(map(len, lists), default=0)):
        yield from (each[rank] for each in lists if rank < len(each))


async def _exact(stores: Sequence[SearchedStore], pool: Sequence[_Place]) -> dict[str, FloatArray]:
    """Leg -> (len(pool),); 0 in a store without that leg. A leg that gives no candidates still scores them: later
    stages read it.
    """
    rows = [[i for i, place in enumerate(pool) if place.store == number] for number in range(len(stores))]
    asked = [(number, leg) for number, store in enumerate(stores) for leg in store.legs]
    found = await exact_scores([(leg, [pool[i].key for i in rows[number]]) for number, leg in asked])
    exact: dict[str, FloatArray] = {}
    for (number, leg), scores in zip(asked, found, strict=True):
        exact.setdefault(leg.name, np.zeros(len(pool), np.float32))[np.array(rows[number], np.intp)] = scores
    return exact


def _loaded(
    stores: Sequence[SearchedStore], wanted: Sequence[_Place], terms: Sequence[str]
) -> tuple[dict[_Place, Passage], FloatArray]:
    """Passages, and the idf of terms in all stores together: a change of threads costs more than either."""
    found: dict[_Place, Passage] = {}
    for number, store in enumerate(stores):
        if keys := [place.key for place in wanted if place.store == number]:
            found |= {_Place(number, key): passage for key, passage in store.load(keys).items()}
    return found, together([store.frequencies(terms) for store in stores], len(terms)).idf()


async def rank(found: Found, plan: RerankPlan, clock: Clock, keep: int = STAGE_2_KEEPS) -> Ranking:
    """Both rerank stages over `found`; a budget of 0 runs none. keep: passages wanted at the end, 12 at least."""
    stages = Stages(
        plan,
        found.vectors.text,
        found.vectors.tokens,
        found.passages,
        found.query,
        found.candidates,
        found.fused,
        clock,
    )
    start = np.arange(len(found.passages), dtype=np.intp)
    done = await rerank(start, stages.of(keep) if len(start) else [], plan.seconds)
    last = list(done.orders)[-1] if done.orders else "fused"
    keys = [passage.chunk.key for passage in found.passages]
    with clock.stage("calibrate"):
        probability = stages.probability(last)
    scores = stages.scores()
    return Ranking(
        passages=[found.passages[i] for i in done.order],
        scores=[scores[i] for i in done.order],
        probability=probability[done.order],
        legs=found.legs,
        orders={"fused": keys} | {stage: [keys[i] for i in order] for stage, order in done.orders.items()},
        kept=done.kept,
        degraded=done.degraded,
        skipped=done.skipped,
    )
