"""Ranks the passages of one vector store for one query: legs, fusion and both rerank stages, with every score kept."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from models.base import FloatArray
from retrieval.clock import Clock
from retrieval.indexes.bm25 import Bm25Index
from retrieval.indexes.dense.index import DenseIndex
from retrieval.indexes.sparse.index import SparseIndex
from retrieval.ranking.features import Candidates, Query
from retrieval.ranking.fusion import convex
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.rerank import rerank
from retrieval.ranking.stages import STAGE_2_KEEPS, RerankPlan, Stages
from retrieval.store.types import Passage
from retrieval.types import Hit


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """dense: (dim,) unit vector. tokens: (t, dim) unit rows. terms: lexical, in reading order, with repeats.

    sparse: the model's lexical weights, token id -> weight; None where it gives none.
    """

    text: str
    dense: FloatArray
    tokens: FloatArray
    terms: Sequence[str]
    sparse: Mapping[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """One vector store's indexes, and how its passages and title terms are looked up (both may block).

    sparse: None where the store has no lexical weights.
    """

    dense: DenseIndex
    bm25: Bm25Index
    load: Callable[[Sequence[int]], Mapping[int, Passage]]
    title_terms: Callable[[str], Sequence[str]]
    sparse: SparseIndex | None = None


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


async def find(
    query: QueryVectors, sources: Sources, ranker: Ranker, limit: int, allowed: Collection[int] | None, clock: Clock
) -> Found:
    """`limit` from each leg that the ranker names, exact scores of all in every leg, fused, the best `limit` loaded."""
    legs = {name: leg for name, leg in _legs(query, sources).items() if name in ranker.legs}
    with clock.stage("legs"):
        hits = await asyncio.gather(*(asyncio.to_thread(leg.search, limit, allowed) for leg in legs.values()))
    found = dict(zip(legs, hits, strict=True))
    keys = list(dict.fromkeys(hit.key for place in zip_longest_hits(*hits) for hit in place))
    with clock.stage("fusion"):
        exact = await asyncio.to_thread(_exact, query, sources, keys)
        fused = convex({name: exact[name] for name in legs}, ranker.legs)
        order = np.argsort(-fused, kind="stable")[:limit]
    with clock.stage("load"):
        terms = list(dict.fromkeys(query.terms))
        loaded, idf = await asyncio.to_thread(_loaded, sources, [keys[i] for i in order], terms)
        # A passage that was deleted since the legs ran is simply no candidate any more.
        order = np.array([i for i in order if keys[i] in loaded], np.intp)
        passages = [loaded[keys[i]] for i in order]
        candidates = Candidates(
            documents=[p.chunk.document_id for p in passages],
            scores={name: values[order] for name, values in exact.items()},
            texts=[p.terms for p in passages],
            titles=[sources.title_terms(p.chunk.title) for p in passages],
        )
    return Found(query, passages, Query(terms, idf), candidates, fused[order], found)


def _loaded(sources: Sources, keys: Sequence[int], terms: Sequence[str]) -> tuple[Mapping[int, Passage], FloatArray]:
    """Passages and idf together: a change of threads costs more than either."""
    return sources.load(keys), sources.bm25.idf(terms)


def zip_longest_hits(*legs: Sequence[Hit]) -> Iterator[tuple[Hit, ...]]:
    """Rank by rank over the legs, the shorter ones ending early."""
    for rank in range(max(map(len, legs), default=0)):
        yield tuple(leg[rank] for leg in legs if rank < len(leg))


class _Leg(NamedTuple):
    """search: (limit, allowed) to hits. scores: of keys, exact."""

    search: Callable[[int, Collection[int] | None], list[Hit]]
    scores: Callable[[Sequence[int]], FloatArray]


def _legs(query: QueryVectors, sources: Sources) -> dict[str, _Leg]:
    """Those that this query can be asked with here, the dense one first."""
    dense, bm25, sparse = sources.dense, sources.bm25, sources.sparse
    legs = {
        "dense": _Leg(partial(dense.search, query.dense), partial(dense.scores, query.dense)),
        "bm25": _Leg(partial(bm25.search, query.terms), partial(bm25.scores, query.terms)),
    }
    if sparse is not None and query.sparse is not None:
        legs["sparse"] = _Leg(partial(sparse.search, query.sparse), partial(sparse.scores, query.sparse))
    return legs


def _exact(query: QueryVectors, sources: Sources, keys: Sequence[int]) -> dict[str, FloatArray]:
    """A leg that gives no candidates still scores them: later stages read it."""
    return {name: leg.scores(keys) for name, leg in _legs(query, sources).items()}


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
