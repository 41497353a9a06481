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
from retrieval.ranking.rare import FEW, FIRST, rarest, within
from retrieval.ranking.rerank import Positions, rerank
from retrieval.ranking.stages import STAGE_2_KEEPS, RerankPlan, Stages
from retrieval.store.base.values import Passage
from retrieval.threads import Threads
from retrieval.types import Hit, QueryVectors

T = TypeVar("T")

_LOOKED_AT = 6  # of the rarest terms


@dataclass(frozen=True, slots=True)
class SearchedStore:
    """One vector store of a query: its legs, and how terms and passages are looked up (all may block).

    holding: term, how many at most, keys that may be found -> keys of passages with it. keys: that may be found; None
    is everything. filter: the same for a leg that evaluates filters itself. behind: changes that its legs lack because
    they could not be written.
    """

    legs: Sequence[Leg]
    frequencies: Callable[[Sequence[str]], Frequencies | None]
    holding: Callable[[str, int, Set[int] | None], Sequence[int]]
    load: Callable[[Sequence[int]], Mapping[int, Passage]]
    keys: Set[int] | None = None
    filter: Filter | None = None
    behind: int = 0

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
    """Candidates after fusion, best first, before any rerank stage. rare: of each of the rarest terms, which of
    `passages` hold it.
    """

    vectors: QueryVectors
    passages: Sequence[Passage]
    query: Query
    candidates: Candidates
    fused: FloatArray
    legs: Mapping[str, Sequence[Hit]]
    rare: Sequence[Set[int]] = ()


class _Place(NamedTuple):
    """Where a candidate is. store: its number among those that are searched."""

    store: int
    key: int


async def find(
    query: QueryVectors,
    stores: Sequence[SearchedStore],
    ranker: Ranker,
    limit: int,
    clock: Clock,
    reads: Threads,
) -> Found:
    """`limit` from each leg that the ranker names, and the rarest terms' passages; exact scores of all in every leg,
    fused, the best `limit` loaded.

    reads: the store's.
    """
    terms = list(dict.fromkeys(query.terms))
    with clock.stage("legs"):
        (legs, pool), (idf, holders) = await asyncio.gather(
            _candidates(stores, ranker, limit), asyncio.to_thread(_rarity, stores, terms)
        )
        pool = list(dict.fromkeys([*pool, *(place for each in holders for place in each)]))
    with clock.stage("fusion"):
        exact = await _exact(stores, pool)
        fused = convex({name: scores for name, scores in exact.items() if name in ranker.legs}, ranker.legs)
        found = {place: i for i, place in enumerate(pool)}
        rare = [{found[place] for place in each} for each in holders]
        order = within(np.argsort(-fused, kind="stable"), rare, limit)[:limit]
    with clock.stage("load"):
        loaded = await reads.run(_loaded, stores, [pool[i] for i in order])
        # A passage that was deleted since the legs ran is simply no candidate any more.
        order = np.array([i for i in order if pool[i] in loaded], np.intp)
        passages = [loaded[pool[i]] for i in order]
        candidates = Candidates(
            documents=[p.chunk.document_id for p in passages],
            scores={name: values[order] for name, values in exact.items()},
            texts=[p.terms for p in passages],
        )
    held = [{at for at, i in enumerate(order.tolist()) if i in each} for each in rare]
    return Found(query, passages, Query(terms, idf), candidates, fused[order], legs, held)


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


def _rarity(stores: Sequence[SearchedStore], terms: Sequence[str]) -> tuple[FloatArray, list[Sequence[_Place]]]:
    """The idf of terms in all stores together, and where the passages of the rarest are, as far as they may be found.

    Frequencies count removed passages for a while, so those of the rarest few are looked at.
    """
    frequencies = together([store.frequencies(terms) for store in stores], len(terms))
    counted = sorted((count, term) for term, count in zip(terms, frequencies.holding, strict=True) if count)
    holders = [
        [_Place(number, key) for number, store in enumerate(stores) for key in store.holding(term, FEW + 1, store.keys)]
        for count, term in counted[:_LOOKED_AT]
        if count <= _LOOKED_AT * FEW
    ]
    return frequencies.idf(), rarest(holders)


def _loaded(stores: Sequence[SearchedStore], wanted: Sequence[_Place]) -> dict[_Place, Passage]:
    found: dict[_Place, Passage] = {}
    for number, store in enumerate(stores):
        if keys := [place.key for place in wanted if place.store == number]:
            found |= {_Place(number, key): passage for key, passage in store.load(keys).items()}
    return found


async def rank(found: Found, plan: RerankPlan, clock: Clock, keep: int = STAGE_2_KEEPS) -> Ranking:
    """Both rerank stages over `found`, then the rarest terms' passages among the first; a budget of 0 runs no stage.

    keep: passages wanted at the end, 12 at least.
    """
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
    orders = {"fused": start} | dict(done.orders)
    last = list(orders)[-1]
    order = orders[last] = within(done.order, found.rare, FIRST)
    keys = [passage.chunk.key for passage in found.passages]
    with clock.stage("calibrate"):
        probability = _lifted(stages.probability(last)[order], order, done.order)
    scores = stages.scores()
    return Ranking(
        passages=[found.passages[i] for i in order],
        scores=[scores[i] for i in order],
        probability=probability,
        legs=found.legs,
        orders={stage: [keys[i] for i in each] for stage, each in orders.items()},
        kept=done.kept,
        degraded=done.degraded,
        skipped=done.skipped,
    )


def _lifted(probability: FloatArray, order: Positions, before: Positions) -> FloatArray:
    """Aligned with order. What came among the first by its terms is as likely as the last of those that were there, so
    that it stays behind them and nothing becomes evidence that would else be none.
    """
    was = set(before[:FIRST].tolist())
    came = [at for at, i in enumerate(order[:FIRST].tolist()) if i not in was]
    if came:
        probability[came] = np.maximum(probability[came], probability[came[0] - 1])
    return probability
