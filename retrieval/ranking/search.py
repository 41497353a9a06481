"""The search pipeline: a question to numbered evidence, one line a stage.

embed -> every leg of every vector store, 100 each -> exact scores of every candidate in all legs -> fuse -> stage 1,
late interaction (100 -> 30) -> stage 2, the learned order or a cross-encoder, and its probability (30 -> 12) -> context
filter.
"""

import asyncio
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from models.base import Embedder
from retrieval.clock import Clock
from retrieval.filters.syntax import parse
from retrieval.indexes.follow import Indexes
from retrieval.indexes.manager import IndexManager
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.context import Limits, Ranked, select
from retrieval.ranking.find import Found, Ranking, SearchedStore, find, rank
from retrieval.ranking.query_cache import QueryCache
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.stages import STAGE_2_KEEPS, RerankPlan
from retrieval.store.store import Store
from retrieval.types import Candidate, DropReason, QueryVectors, Retrieval, ScoredChunk, SearchParams

_CACHED_TITLES, _USUAL_TITLE = 8192, 256  # characters: longer ones are cut into terms each time


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
        self._cache = QueryCache()
        self._usual_title_terms = lru_cache(_CACHED_TITLES)(tokenizer.terms)

    def with_plan(self, plan: RerankPlan) -> "Retriever":
        """The same indexes under other rerank stages."""
        return Retriever(self._store, self._manager, self._embedder, self._tokenizer, plan)

    async def search(self, owner: str, store_ids: Sequence[str], query: str, params: SearchParams) -> Retrieval:
        """Evidence from all of `store_ids` together. Raises NotFound for a store that is not this owner's."""
        clock = Clock()
        with clock.stage("embed"):
            vectors = await self.vectors(query)
        ranking = await self.rank(owner, store_ids, vectors, params, clock) if store_ids else Ranking()
        with clock.stage("context"):
            evidence, candidates = self._filtered(ranking, params)
        return Retrieval(
            query=query,
            evidence=tuple(evidence),
            candidates=tuple(candidates),
            seconds=clock.seconds,
            counts=_counts(ranking, len(evidence)),
            degraded=ranking.degraded,
            skipped=ranking.skipped,
        )

    async def vectors(self, query: str) -> QueryVectors:
        """The query as every leg and stage needs it; the last ones are remembered."""
        if (cached := self._cache.get(query)) is not None:
            return cached
        terms = asyncio.create_task(asyncio.to_thread(self._tokenizer.terms, query))
        try:
            embedding = await self._embedder.embed_queries([query], tokens=True)
            tokens = embedding.tokens[0] if embedding.tokens else np.zeros((0, self._embedder.dim), np.float32)
            sparse = embedding.sparse[0] if embedding.sparse else None
            vectors = QueryVectors(query, embedding.dense[0], tokens, await terms, sparse)
        finally:
            terms.cancel()
        self._cache.put(vectors)
        return vectors

    async def rank(
        self, owner: str, store_ids: Sequence[str], vectors: QueryVectors, params: SearchParams, clock: Clock
    ) -> Ranking:
        """Every candidate of the vector stores, ranked together. Raises NotFound, InvalidFilter."""
        wanted, reads = list(dict.fromkeys(store_ids)), self._store.reads
        threads = reads if self._manager.are_open(wanted) else self._manager.openings
        stores = await threads.run(self._opened, owner, wanted, vectors, params.filters)
        found = await find(vectors, stores, self.plan.ranker, params.candidates, self._title_terms, clock, reads)
        plan = self.plan if params.rerank else replace(self.plan, seconds=0.0)
        return await rank(found, plan, clock, params.keep)

    async def find(
        self, owner: str, store_id: str, vectors: QueryVectors, limit: int, keys: Set[int] | None, clock: Clock
    ) -> Found:
        """The fused candidates of one store, before any rerank stage. keys: that may be found; None is everything.

        Raises NotFound.
        """
        indexes = await self._manager.openings.run(self._manager.indexes, store_id)
        store = replace(self._searched(owner, store_id, indexes, vectors), keys=keys)
        return await find(vectors, [store], self.plan.ranker, limit, self._title_terms, clock, self._store.reads)

    def _opened(
        self, owner: str, store_ids: Sequence[str], vectors: QueryVectors, filters: Mapping[str, Any] | None
    ) -> list[SearchedStore]:
        """Each is checked first: whether it is this owner's, and has not expired."""
        filter = parse(filters) if filters else None
        opened = []
        for store_id in store_ids:
            self._store.use(owner, store_id)
            store = self._searched(owner, store_id, self._manager.indexes(store_id), vectors)
            if filter is not None:
                pushed_down = all(leg.filters for leg in store.legs)
                keys = None if pushed_down else self._store.allowed_keys(owner, store_id, filter)
                store = replace(store, keys=keys, filter=filter)
            opened.append(store)
        return opened

    def _searched(self, owner: str, store_id: str, indexes: Indexes, vectors: QueryVectors) -> SearchedStore:
        load = partial(self._store.load_passages, owner, store_id)
        return SearchedStore(indexes.legs(vectors), indexes.frequencies, load)

    def _title_terms(self, title: str) -> Sequence[str]:
        """Remembered, where the title is not so long that 8,192 of its kind would be a lot of memory."""
        return self._usual_title_terms(title) if len(title) <= _USUAL_TITLE else self._tokenizer.terms(title)

    def _filtered(self, ranking: Ranking, params: SearchParams) -> tuple[list[ScoredChunk], list[Candidate]]:
        floor = self.plan.floor if params.min_score is None else params.min_score
        limits = Limits(floor=floor, keep=params.keep, tokens=params.token_budget)
        ranked: list[Ranked] = []
        left: list[Candidate] = []
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


def _counts(ranking: Ranking, evidence: int) -> dict[str, int]:
    """Of a search in no vector store: the evidence alone, which is none."""
    legs = {name: len(hits) for name, hits in ranking.legs.items()}
    fused = {"fused": len(ranking.passages)} if legs else {}
    return {**legs, **fused, **ranking.kept, "evidence": evidence}
