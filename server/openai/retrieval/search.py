"""POST /v1/vector_stores/{id}/search: ranked passages, without an answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from retrieval.characters import shown_name
from retrieval.types import Retrieval, ScoredChunk, SearchParams
from server.access.authentication import Owner
from server.answering.answer import Searcher
from server.answering.ask import Asking
from server.answering.rewriting import rewritten
from server.answering.running import within
from server.answering.work import candidate, where
from server.http.json_body import JsonRoute
from server.http.provided import provided

router = APIRouter(prefix="/v1/vector_stores", tags=["vector stores"], route_class=JsonRoute)
QUERIES = 8
# Twice what the bundled embedder reads of English (512 tokens), and more than a question needs: every
# further character costs the analyser and BM25 without moving the vector. A chat's question is cut to half of it.
QUERY_CHARACTERS = 4096
Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=QUERY_CHARACTERS)]


def _listed(query: Any) -> Any:
    return [query] if isinstance(query, str) else query


class SearchRanking(BaseModel):
    """A missing threshold is OpenAI's 0: everything that was found."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ranker: Literal["auto", "none", "default-2024-11-15"] = "auto"
    score_threshold: float = Field(default=0.0, ge=0, le=1)


class SearchExtension(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    explain: bool = False


class SearchRequest(BaseModel):
    """rewrite_query: each query is searched as it is, and rewritten (server/answering/rewriting.py)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: Annotated[list[Query], Field(min_length=1, max_length=QUERIES), BeforeValidator(_listed)]
    filters: dict[str, Any] | None = None
    max_num_results: int = Field(default=10, ge=1, le=50)
    ranking_options: SearchRanking = Field(default_factory=SearchRanking)
    rewrite_query: bool = False
    ragpod: SearchExtension = Field(default_factory=SearchExtension)


class Searching:
    """Searches without an answer. candidates: from each leg at least. seconds: of one request."""

    def __init__(self, asking: Asking, retriever: Searcher, candidates: int, seconds: float) -> None:
        self._asking, self._retriever = asking, retriever
        self._candidates, self._seconds = candidates, seconds

    async def search(self, owner: str, store_id: str, body: SearchRequest) -> "Searched":
        """Raises NotFound, and models.errors.Timeout past the limit."""
        store = await self._asking.store(owner, store_id)
        params = SearchParams(
            candidates=max(self._candidates, body.max_num_results),
            keep=body.max_num_results,
            min_score=body.ranking_options.score_threshold,
            rerank=body.ranking_options.ranker != "none",
            filters=body.filters,
        )
        async with within(self._seconds, "the search"):
            queries, degraded = await self._rewritten(body.query) if body.rewrite_query else (body.query, [])
            asked = dict.fromkeys([*body.query, *queries])
            searches = [self._retriever.search(owner, [store], each, params) for each in asked]
            return Searched(queries, await asyncio.gather(*searches), degraded)

    async def _rewritten(self, queries: Sequence[str]) -> tuple[list[str], list[str]]:
        """One for each, and what was not rewritten as it should have been."""
        pairs = await asyncio.gather(*[rewritten(self._asking.generators, query) for query in queries])
        return [query for query, _ in pairs], [reason for _, reason in pairs if reason is not None]


@dataclass(frozen=True, slots=True)
class Searched:
    """queries: rewritten where that was asked for. found: of each query as it came, and of each as it was rewritten."""

    queries: Sequence[str]
    found: Sequence[Retrieval]
    degraded: Sequence[str]


@router.post("/{store_id}/search")
async def search(
    store_id: str, body: SearchRequest, owner: Owner, searching: Annotated[Searching, provided(Searching)]
) -> Response:
    """Several queries are searched together; a passage counts with its best score.

    search_query: what was searched for, rewritten where that was asked for.
    """
    searched = await searching.search(owner, store_id, body)
    results = merged(searched.found, body.max_num_results)
    answer = {
        "object": "vector_store.search_results.page",
        "search_query": searched.queries,
        "data": [_result(scored) for scored in results],
        "has_more": False,
        "next_page": None,
        "ragpod": _explanation(searched.found, searched.degraded, explain=body.ragpod.explain),
    }
    return Response(orjson.dumps(answer), media_type="application/json")


def merged(found: Sequence[Retrieval], limit: int) -> list[ScoredChunk]:
    """Best first; each passage once."""
    best: dict[str, ScoredChunk] = {}
    for retrieval in found:
        for scored in retrieval.evidence:
            known = best.get(scored.chunk.id)
            if known is None or scored.score > known.score:
                best[scored.chunk.id] = scored
    return sorted(best.values(), key=lambda scored: -scored.score)[:limit]


def _result(scored: ScoredChunk) -> dict[str, Any]:
    chunk = scored.chunk
    return {
        "file_id": chunk.file_id,
        "filename": shown_name(chunk.filename),
        "score": scored.score,
        "attributes": dict(chunk.attributes),
        "content": [{"type": "text", "text": chunk.text}],
        "chunk_id": chunk.id,
        "document_id": chunk.own_id,
        "title": shown_name(chunk.title),
        "url": chunk.url or None,
        "headings": [shown_name(heading) for heading in chunk.headings],
        **where(chunk),
        "scores": dict(scored.scores),
    }


def _explanation(found: Sequence[Retrieval], degraded: Sequence[str], *, explain: bool) -> dict[str, Any]:
    """Milliseconds and counts are sums over the queries."""
    stages = [stage for retrieval in found for stage in retrieval.seconds]
    counted = [stage for retrieval in found for stage in retrieval.counts]
    told: dict[str, Any] = {
        "timings_ms": {s: round(sum(r.seconds.get(s, 0.0) for r in found) * 1000, 2) for s in dict.fromkeys(stages)},
        "counts": {s: sum(r.counts.get(s, 0) for r in found) for s in dict.fromkeys(counted)},
        "queries": [retrieval.query for retrieval in found],
        "degraded": list(dict.fromkeys([*degraded, *(reason for r in found for reason in r.degraded)])),
        "skipped": list(dict.fromkeys(reason for r in found for reason in r.skipped)),
    }
    if explain:
        told["candidates"] = [candidate(c) for retrieval in found for c in retrieval.candidates]
    return told
