"""The search pipeline: a question to numbered evidence, one line a stage.

embed -> dense | bm25, 100 each -> exact scores of every candidate in both legs -> fuse -> stage 1, late interaction
(100 -> 30) -> stage 2, the learned order or a cross-encoder, and its probability (30 -> 12) -> context filter.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from models.base import Embedder
from retrieval.clock import Clock
from retrieval.filters.syntax import parse
from retrieval.indexes.follow import Indexes
from retrieval.indexes.manager import IndexManager
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.context import Limits, Ranked, select
from retrieval.ranking.find import Found, QueryVectors, Ranking, Sources, find, rank
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.stages import STAGE_2_KEEPS, RerankPlan
from retrieval.store.store import Store
from retrieval.types import Candidate, DropReason, Retrieval, ScoredChunk, SearchParams

_CACHED_QUERIES = 512


class Retriever:
    """Searches vector stores. One for a process; safe for concurrent callers on one event loop."""

    def __init__(
        self,
        store: Store,
        manager: IndexManager,
        embedder: Embedder,
        tokenizer: Tokenizer,
        plan: RerankPlan | None = None,
    ) -> None:
        self._store = store
        self._manager = manager
        self._embedder = embedder
        self._tokenizer = tokenizer
        self.plan = plan or RerankPlan(Ranker.load())
        self._cache: OrderedDict[str, QueryVectors] = OrderedDict()
        self._title_terms = lru_cache(maxsize=8192)(tokenizer.terms)

    def with_plan(self, plan: RerankPlan) -> "Retriever":
        """The same indexes under other rerank stages."""
        return Retriever(self._store, self._manager, self._embedder, self._tokenizer, plan)

    async def search(self, owner: str, store_ids: Sequence[str], query: str, params: SearchParams) -> Retrieval:
        """Evidence from all of `store_ids` together. Raises NotFound for a store that is not this owner's."""
        clock = Clock()
        with clock.stage("embed"):
            vectors = await self.vectors(query)
        rankings = [await self.rank(owner, store_id, vectors, params, clock) for store_id in store_ids]
        with clock.stage("context"):
            evidence, candidates = self._filtered(rankings, params)
        return Retrieval(
            query=query,
            evidence=tuple(evidence),
            candidates=tuple(candidates),
            seconds=clock.seconds,
            counts=_counts(rankings, len(evidence)),
            degraded=tuple(dict.fromkeys(reason for ranking in rankings for reason in ranking.degraded)),
            skipped=tuple(dict.fromkeys(reason for ranking in rankings for reason in ranking.skipped)),
        )

    async def vectors(self, query: str) -> QueryVectors:
        """The query as every leg and stage needs it; the last 512 are remembered."""
        if (cached := self._cache.get(query)) is not None:
            self._cache.move_to_end(query)
            return cached
        terms = asyncio.create_task(asyncio.to_thread(self._tokenizer.terms, query))
        try:
            embedding = await self._embedder.embed_queries([query], tokens=True)
            tokens = embedding.tokens[0] if embedding.tokens else np.zeros((0, self._embedder.dim), np.float32)
            sparse = embedding.sparse[0] if embedding.sparse else None
            vectors = QueryVectors(query, embedding.dense[0], tokens, await terms, sparse)
        finally:
            terms.cancel()
        self._cache[query] = vectors
        if len(self._cache) > _CACHED_QUERIES:
            self._cache.popitem(last=False)
        return vectors

    async def rank(
        self, owner: str, store_id: str, vectors: QueryVectors, params: SearchParams, clock: Clock
    ) -> Ranking:
        """Every candidate of one store, ranked. Raises NotFound."""
        indexes, allowed = await asyncio.to_thread(self._opened, owner, store_id, params)
        found = await self._find(owner, store_id, indexes, vectors, params.candidates, allowed, clock)
        plan = self.plan if params.rerank else replace(self.plan, seconds=0.0)
        return await rank(found, plan, clock, params.keep)

    async def find(
        self,
        owner: str,
        store_id: str,
        vectors: QueryVectors,
        limit: int,
        allowed: Collection[int] | None,
        clock: Clock,
    ) -> Found:
        """The fused candidates of one store, before any rerank stage. Raises NotFound."""
        indexes = await asyncio.to_thread(self._manager.indexes, store_id)
        return await self._find(owner, store_id, indexes, vectors, limit, allowed, clock)

    def _opened(self, owner: str, store_id: str, params: SearchParams) -> tuple[Indexes, Collection[int] | None]:
        """The keys that pass first: it is they that say whether the store is this owner's."""
        passing = parse(params.filters) if params.filters else None
        self._store.use(owner, store_id)
        allowed = None if passing is None else self._store.allowed_keys(owner, store_id, passing)
        return self._manager.indexes(store_id), allowed

    async def _find(
        self,
        owner: str,
        store_id: str,
        indexes: Indexes,
        vectors: QueryVectors,
        limit: int,
        allowed: Collection[int] | None,
        clock: Clock,
    ) -> Found:
        sources = Sources(
            dense=indexes.dense,
            bm25=indexes.bm25,
            sparse=indexes.sparse,
            load=partial(self._store.load_passages, owner, store_id),
            title_terms=self._title_terms,
        )
        return await find(vectors, sources, self.plan.ranker, limit, allowed, clock)

    def _filtered(self, rankings: Sequence[Ranking], params: SearchParams) -> tuple[list[ScoredChunk], list[Candidate]]:
        floor = self.plan.floor if params.min_score is None else params.min_score
        limits = Limits(floor=floor, keep=params.keep, tokens=params.token_budget)
        ranked: list[Ranked] = []
        left: list[Candidate] = []
        for ranking in rankings:
            for place, passage in enumerate(ranking.passages):
                scored = ScoredChunk(passage.chunk, float(ranking.probability[place]), ranking.scores[place])
                if (reason := _cut(ranking, place, params.keep)) is None:
                    ranked.append(Ranked(scored, frozenset(passage.terms)))
                else:
                    left.append(Candidate(scored, reason))
        ranked.sort(key=lambda one: -one.scored.score)
        evidence, candidates = select(ranked, limits)
        return evidence, candidates + left


def _cut(ranking: Ranking, place: int, keep: int) -> DropReason | None:
    """The stage that this place did not outlive; without any stage, the last one's number still holds."""
    if place >= ranking.kept.get("rerank1", len(ranking.passages)):
        return "rerank1"
    return "rerank2" if place >= ranking.kept.get("rerank2", max(STAGE_2_KEEPS, keep)) else None


def _counts(rankings: Sequence[Ranking], evidence: int) -> dict[str, int]:
    counts: dict[str, int] = {}
    for ranking in rankings:
        found = {name: len(hits) for name, hits in ranking.legs.items()}
        for name, count in {**found, "fused": len(ranking.passages), **ranking.kept}.items():
            counts[name] = counts.get(name, 0) + count
    return {**counts, "evidence": evidence}
