"""The search pipeline: a question to numbered evidence, one line a stage.

embed -> every leg of every vector store, 100 each -> exact scores of every candidate in all legs -> fuse -> stage 1,
late interaction (100 -> 30) -> stage 2, the learned order or a cross-encoder, and its probability (30 -> 12) -> the
rarest terms' passages among the first -> context filter.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from models.base import Embedder
from retrieval.characters import same, visible
from retrieval.clock import Clock
from retrieval.embedders import Embedders
from retrieval.filters.syntax import Filter, parse
from retrieval.indexes.follow import Indexes
from retrieval.indexes.manager import IndexManager
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.context import Limits, Ranked, select
from retrieval.ranking.find import Found, Ranking, SearchedStore, find, rank
from retrieval.ranking.query_cache import QueryCache
from retrieval.ranking.ranker import Ranker
from retrieval.ranking.stages import STAGE_2_KEEPS, RerankPlan
from retrieval.ranking.validity import Validity
from retrieval.store.base.values import Expired, NamedStore
from retrieval.store.store import Store
from retrieval.types import Candidate, DropReason, QueryVectors, Retrieval, ScoredChunk, SearchParams


class Retriever:
    """Searches vector stores. One for a process; safe for concurrent callers on one event loop."""

    def __init__(
        self,
        store: Store,
        manager: IndexManager,
        embedder: Embedder,
        tokenizer: Tokenizer,
        plan: RerankPlan | None = None,
        *,
        newer_wins: bool = True,
        embedders: Embedders | None = None,
    ) -> None:
        """newer_wins: of passages with the same words the one whose document says that it was updated later is kept.
        embedders: for vector stores of others than `embedder` too.
        """
        self._newer_wins = newer_wins
        self._embedders = embedders or Embedders(embedder)
        self._store = store
        self._manager = manager
        self._tokenizer = tokenizer
        self.plan = plan or RerankPlan(Ranker.load())
        self._caches = defaultdict[str, QueryCache](QueryCache)  # by the embedder's name
        self._validity = Validity(store.passages.bounded, store.clock)

    def with_plan(self, plan: RerankPlan) -> "Retriever":
        """The same indexes under other rerank stages."""
        known, newer = self._embedders, self._newer_wins
        given = (self._store, self._manager, known.current, self._tokenizer, plan)
        return Retriever(*given, newer_wins=newer, embedders=known)

    async def search(self, owner: str, stores: Sequence[NamedStore], query: str, params: SearchParams) -> Retrieval:
        """Evidence from all of `stores` together, as they were resolved for this owner. Raises Expired."""
        clock = Clock()
        rankings = [await self._ranked(owner, each, query, params, clock) for each in _by_space(stores)]
        with clock.stage("context"):
            evidence, candidates = self._filtered(rankings, params)
        return Retrieval(
            query=query,
            evidence=tuple(evidence),
            candidates=tuple(candidates),
            seconds=clock.seconds,
            counts=_counts(rankings, len(evidence)),
            degraded=tuple(dict.fromkeys(each for ranking in rankings for each in ranking.degraded)),
            skipped=tuple(dict.fromkeys(each for ranking in rankings for each in ranking.skipped)),
        )

    async def _ranked(
        self, owner: str, stores: Sequence[NamedStore], query: str, params: SearchParams, clock: Clock
    ) -> Ranking:
        """Of vector stores with vectors of one embedder: by words alone where this process does not have it."""
        name = stores[0].space.embedder if stores and stores[0].space else None
        embedder = self._embedders.get(name)
        with clock.stage("embed"):
            vectors = await self.vectors(query, embedder) if embedder else await self._words(query)
        ranking = await self.rank(owner, stores, vectors, params, clock) if stores else Ranking()
        if embedder is None:
            why = f"dense: vectors of {name}, which is not loaded here; words alone were compared"
            ranking = replace(ranking, degraded=(why, *ranking.degraded))
        return ranking

    async def vectors(self, query: str, embedder: Embedder | None = None) -> QueryVectors:
        """The query as every leg and stage needs it; the last ones are remembered. embedder: None is the current one.

        Read as documents are: what nobody sees in it is not looked for.
        """
        query, embedder = _read(query), embedder or self._embedders.current
        cache = self._caches[embedder.name]
        if (cached := cache.get(query)) is not None:
            return cached
        terms = asyncio.create_task(asyncio.to_thread(self._tokenizer.terms, query))
        try:
            embedding = await embedder.embed_queries([query], tokens=True)
            tokens = embedding.tokens[0] if embedding.tokens else np.zeros((0, embedder.dim), np.float32)
            sparse = embedding.sparse[0] if embedding.sparse else None
            vectors = QueryVectors(query, embedding.dense[0], tokens, await terms, sparse)
        finally:
            terms.cancel()
        cache.put(vectors)
        return vectors

    async def _words(self, query: str) -> QueryVectors:
        query, none = _read(query), np.zeros(0, np.float32)
        terms = await asyncio.to_thread(self._tokenizer.terms, query)
        return QueryVectors(query, none, none.reshape(0, 0), terms)

    async def rank(
        self, owner: str, stores: Sequence[NamedStore], vectors: QueryVectors, params: SearchParams, clock: Clock
    ) -> Ranking:
        """Every candidate of the vector stores, ranked together. vectors: of the embedder of all of them, or without
        any. Raises Expired, NotFound, InvalidFilter.
        """
        wanted, reads = {store.index_id: store for store in stores}, self._store.reads
        threads = reads if self._manager.are_open(wanted) else self._manager.openings
        opened = await threads.run(self._opened, owner, list(wanted.values()), vectors, params.filters)
        plan = self.plan if params.rerank else replace(self.plan, seconds=0.0)
        if not len(vectors.dense):
            plan = replace(plan, ranker=plan.ranker.without("dense"))
        found = await find(vectors, opened, plan.ranker, params.candidates, clock, reads)
        ranking = await rank(found, plan, clock, params.keep)
        if behind := sum(each.behind for each in opened):
            late = f"index: {behind} changes behind; it cannot be written at present"
            ranking = replace(ranking, degraded=(late, *ranking.degraded))
        return ranking

    async def find(
        self, owner: str, store: NamedStore, vectors: QueryVectors, limit: int, keys: Set[int] | None, clock: Clock
    ) -> Found:
        """The fused candidates of one store, before any rerank stage. keys: that may be found; None is everything.

        Raises NotFound.
        """
        indexes = await self._manager.openings.run(self._manager.indexes, store.index_id)
        searched = replace(self._searched(owner, store, indexes, vectors), keys=keys)
        return await find(vectors, [searched], self.plan.ranker, limit, clock, self._store.reads)

    def _opened(
        self, owner: str, stores: Sequence[NamedStore], vectors: QueryVectors, filters: Mapping[str, Any] | None
    ) -> list[SearchedStore]:
        """One small statement a store, where there is no filter and the indexes are open."""
        filter = parse(filters) if filters else None
        opened = []
        for store in stores:
            if store.expired:
                raise Expired(f"vector store {store.id!r} has expired")
            self._store.vector_stores.use(store)
            searched = self._searched(owner, store, self._manager.indexes(store.index_id, store.head), vectors)
            if behind := self._manager.behind(store.index_id, store.head):
                searched = replace(searched, behind=behind)
            opened.append(self._allowed(searched, owner, store, filter))
        return opened

    def _allowed(self, searched: SearchedStore, owner: str, store: NamedStore, filter: Filter | None) -> SearchedStore:
        """With what may be found there: what passes the filter, and holds now."""
        hidden = self._validity.hidden(owner, store, filter)
        if hidden:
            passages = self._store.passages
            keys = passages.allowed_keys(owner, store, filter) if filter is not None else passages.keys(owner, store)
            return replace(searched, keys=keys - hidden)
        if filter is None:
            return searched
        if all(leg.filters for leg in searched.legs):
            return replace(searched, filter=filter)
        return replace(searched, keys=self._store.passages.allowed_keys(owner, store, filter), filter=filter)

    def _searched(self, owner: str, store: NamedStore, indexes: Indexes, vectors: QueryVectors) -> SearchedStore:
        load = partial(self._store.passages.load, owner, store)
        return SearchedStore(indexes.legs(vectors), indexes.frequencies, indexes.holding, load)

    def _filtered(self, rankings: Sequence[Ranking], params: SearchParams) -> tuple[list[ScoredChunk], list[Candidate]]:
        """Rankings by several embedders meet by their probabilities alone."""
        floor = self.plan.floor if params.min_score is None else params.min_score
        limits = Limits(floor=floor, keep=params.keep, tokens=params.token_budget, newer_wins=self._newer_wins)
        ranked: list[Ranked] = []
        left: list[Candidate] = []
        for ranking, place in ((each, place) for each in rankings for place in range(len(each.passages))):
            passage = ranking.passages[place]
            scored = ScoredChunk(passage.chunk, float(ranking.probability[place]), ranking.scores[place])
            if (reason := _cut(ranking, place, params.keep)) is None:
                ranked.append(Ranked(scored, frozenset(passage.terms)))
            else:
                left.append(Candidate(scored, reason))
        ranked.sort(key=lambda one: -one.scored.score)
        evidence, candidates = select(ranked, limits)
        return evidence, candidates + left


def _read(query: str) -> str:
    return visible(same(query)).strip() or query


def _by_space(stores: Sequence[NamedStore]) -> list[list[NamedStore]]:
    """Those without vectors are with the first. One empty list for none."""
    spaces = dict.fromkeys(store.space.embedder for store in stores if store.space)
    first = next(iter(spaces), None)
    named = {name: [s for s in stores if (s.space.embedder if s.space else first) == name] for name in spaces or [None]}
    return list(named.values())


def _cut(ranking: Ranking, place: int, keep: int) -> DropReason | None:
    """The stage that this place did not outlive; without any stage, the last one's number still holds."""
    if place >= ranking.kept.get("rerank1", len(ranking.passages)):
        return "rerank1"
    return "rerank2" if place >= ranking.kept.get("rerank2", max(STAGE_2_KEEPS, keep)) else None


def _counts(rankings: Sequence[Ranking], evidence: int) -> dict[str, int]:
    """Of a search in no vector store: the evidence alone, which is none."""
    counts: Counter[str] = Counter()
    for ranking in rankings:
        legs = {name: len(hits) for name, hits in ranking.legs.items()}
        fused = {"fused": len(ranking.passages)} if legs else {}
        counts.update({**legs, **fused, **ranking.kept})
    return {**counts, "evidence": evidence}
