"""POST /v1/rerank in Jina's and Cohere's form: the server's two rerank stages on the caller's own texts."""

import asyncio
from typing import Any

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from server.asking import MODEL, new_id, unknown_model
from server.deadline import within
from server.errors import bad_request
from server.state import StateNow

router = APIRouter(tags=["rerank"])
DOCUMENTS = 256


class Document(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    text: str


class RerankRequest(BaseModel):
    """max_tokens_per_doc and truncation are accepted: a text over the model's length is cut."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str = MODEL
    query: str = Field(min_length=1)
    documents: list[str | Document] = Field(min_length=1, max_length=DOCUMENTS)
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = False
    max_tokens_per_doc: int | None = None
    truncation: bool | None = None


@router.post("/v1/rerank")
async def rerank(body: RerankRequest, state: StateNow) -> Response:
    """relevance_score is a calibrated 0..1, best first, equal ones in the order given."""
    if body.model not in (MODEL, state.embedder.name):
        raise unknown_model(body.model)
    texts = [document if isinstance(document, str) else document.text for document in body.documents]
    if not body.query.strip():
        raise bad_request("the query must not be empty", "query")
    async with within(state.settings.limits.search_seconds, "reranking"):
        scores = (await state.relevance(body.query, texts)).tolist()
    order = sorted(range(len(texts)), key=lambda i: -scores[i])[: body.top_n]
    spans = state.embedder.token_spans
    tokens = await asyncio.to_thread(lambda: sum(len(spans(text)) for text in (body.query, *texts)))
    results: list[dict[str, Any]] = [{"index": i, "relevance_score": scores[i]} for i in order]
    if body.return_documents:
        results = [result | {"document": {"text": texts[result["index"]]}} for result in results]
    answer = {"id": new_id("rerank"), "model": body.model, "results": results, "usage": {"total_tokens": tokens}}
    return Response(orjson.dumps(answer), media_type="application/json")
