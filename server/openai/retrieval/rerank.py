"""Reranking of the caller's own texts by the server's two stages, in three forms: Jina's and Cohere's v1 and v2
(POST /v1/rerank, /v2/rerank), and that of text-embeddings-inference (POST /rerank).
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from models.base import Embedder
from server.answering.ask import MODEL, new_id
from server.answering.failures import UnknownModel
from server.answering.running import within
from server.http.errors import bad_request
from server.http.json_body import JsonRoute
from server.http.provided import provided

if TYPE_CHECKING:  # it loads the tokenizer
    from retrieval.ranking.raw_texts import Relevance

router = APIRouter(tags=["rerank"], route_class=JsonRoute)
DOCUMENTS = 1000
SEARCH_UNIT = 100  # documents, as Cohere counts
_MARKS = 8  # tokens that a model adds to a text
_NEAREST = 1e-6  # a probability of 0 or 1 has no logit
StageNames = list[Literal["late_interaction", "learned", "cross_encoder"]]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class RerankExtension(Body):
    stages: StageNames | None = Field(default=None, min_length=1, max_length=2)


class RerankRequest(Body):
    """truncation: false refuses a text over the model's length, else it is cut at its end. rank_fields: of documents
    that are objects, "text" where it is not given.
    """

    model: str = MODEL
    query: str
    documents: list[str | dict[str, JsonValue]] = Field(min_length=1, max_length=DOCUMENTS)
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool = False
    rank_fields: list[str] | None = Field(default=None, min_length=1)
    max_tokens_per_doc: int | None = Field(default=None, ge=1)
    truncation: bool = True
    ragpod: RerankExtension = Field(default_factory=RerankExtension)


class TeiRequest(Body):
    query: str
    texts: list[str] = Field(min_length=1, max_length=DOCUMENTS)
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool = False
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"
    ragpod: RerankExtension = Field(default_factory=RerankExtension)


class Reranking:
    """The server's own stages on texts of a caller.

    relevance: of texts to a query by stages, None by the best that there are; raises UnknownStages. cross_encoder: its
    name, where there is one. seconds: of one request.
    """

    def __init__(
        self,
        relevance: "Callable[[str, Sequence[str], Sequence[str] | None], Awaitable[Relevance]]",
        embedder: Embedder,
        cross_encoder: str | None,
        seconds: float,
    ) -> None:
        self.embedder = embedder
        self._relevance, self._cross_encoder, self._seconds = relevance, cross_encoder, seconds

    def stages(self, body: RerankRequest) -> Sequence[str] | None:
        """By the extension, else by the model's id. Raises UnknownModel, ApiError (400)."""
        named: dict[str, list[str]] = {self.embedder.name: ["late_interaction"]}
        if self._cross_encoder is not None:
            named[self._cross_encoder] = ["cross_encoder"]
        if body.model != MODEL and body.model not in named:
            raise UnknownModel(body.model)
        of_model, asked = named.get(body.model), body.ragpod.stages
        if of_model is not None and asked is not None and list(asked) != of_model:
            raise bad_request(f"the model {body.model} is the stage {of_model[0]} alone", "ragpod.stages")
        return asked or of_model

    async def scores(
        self, query: str, texts: Sequence[str], stages: Sequence[str] | None
    ) -> tuple[list[float], tuple[str, ...]]:
        """And the stages that ran. Raises ApiError (400)."""
        from retrieval.ranking.raw_texts import UnknownStages

        if not query.strip():
            raise bad_request("the query must not be empty", "query")
        async with within(self._seconds, "reranking"):
            try:
                found = await self._relevance(query, texts, stages)
            except UnknownStages as error:
                raise bad_request(str(error), "ragpod.stages") from None
        return found.scores.tolist(), found.stages


RerankingNow = Annotated[Reranking, provided(Reranking)]


@router.post("/v1/rerank")
@router.post("/v2/rerank")
async def rerank(body: RerankRequest, reranking: RerankingNow) -> Response:
    """relevance_score is a calibrated 0..1, best first, equal ones in the order given."""
    stages = reranking.stages(body)
    texts = [_text(document, body.rank_fields, i) for i, document in enumerate(body.documents)]
    limit = None if body.truncation else "documents"
    texts, tokens = await asyncio.to_thread(_measured, reranking.embedder, texts, body.max_tokens_per_doc, limit)
    scores, ran = await reranking.scores(body.query, texts, stages)
    order = sorted(range(len(texts)), key=lambda i: -scores[i])[: body.top_n]
    results: list[dict[str, Any]] = [{"index": i, "relevance_score": scores[i]} for i in order]
    if body.return_documents:
        results = [result | {"document": _document(body.documents[result["index"]])} for result in results]
    total = tokens + await asyncio.to_thread(_length, reranking.embedder, body.query)
    answer = {
        "id": new_id("rerank"),
        "object": "list",
        "model": body.model,
        "results": results,
        "usage": {"total_tokens": total},
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"search_units": math.ceil(len(texts) / SEARCH_UNIT)},
            "tokens": {"input_tokens": total},
        },
        "ragpod": {"stages": ran},
    }
    # Not orjson: a caller's object may hold half a character or a huge number, which go back as they came.
    return Response(json.dumps(answer), media_type="application/json")


@router.post("/rerank")
async def tei_rerank(body: TeiRequest, reranking: RerankingNow) -> Response:
    """raw_scores: logits of the calibrated probabilities. The header X-Ragpod-Stages says which stages ran."""
    limit = None if body.truncate else "texts"
    left = body.truncation_direction.lower() == "left"
    texts, _ = await asyncio.to_thread(_measured, reranking.embedder, body.texts, None, limit, left=left)
    scores, ran = await reranking.scores(body.query, texts, body.ragpod.stages)
    shown = [_logit(score) for score in scores] if body.raw_scores else scores
    ranked: list[dict[str, Any]] = [
        {"index": i, "score": shown[i]} for i in sorted(range(len(texts)), key=lambda i: -scores[i])
    ]
    if body.return_text:
        ranked = [rank | {"text": body.texts[rank["index"]]} for rank in ranked]
    return Response(orjson.dumps(ranked), headers={"X-Ragpod-Stages": ",".join(ran)}, media_type="application/json")


def _text(document: str | dict[str, JsonValue], fields: Sequence[str] | None, index: int) -> str:
    """Raises ApiError (400), naming the document."""
    if isinstance(document, str):
        return document
    parts = [document.get(field) for field in fields or ("text",)]
    missing = next((f for f, part in zip(fields or ("text",), parts, strict=True) if not isinstance(part, str)), None)
    if missing is not None:
        raise bad_request(f"documents[{index}] has no text in its field {missing!r}", f"documents[{index}]")
    return "\n".join(map(str, parts))


def _document(document: str | dict[str, JsonValue]) -> dict[str, Any]:
    return {"text": document} if isinstance(document, str) else document


def _measured(
    embedder: Embedder, texts: Sequence[str], limit: int | None, param: str | None, *, left: bool = False
) -> tuple[list[str], int]:
    """Each text cut to what is read of it, and the tokens of all. param: a text over the model's length is refused by
    this name instead. Raises ApiError (400).
    """
    room, cut, total = embedder.max_tokens - _MARKS, list[str](), 0
    for i, text in enumerate(texts):
        spans = embedder.token_spans(text)
        if param is not None and len(spans) > room and limit is None:
            raise bad_request(f"{param}[{i}] has {len(spans)} tokens, of {room} at most", f"{param}[{i}]")
        keep = min(room, limit or room)
        if len(spans) > keep:
            text = text[int(spans[-keep][0]) :] if left else text[: int(spans[keep - 1][1])]
        cut.append(text)
        total += min(keep, len(spans))
    return cut, total


def _length(embedder: Embedder, text: str) -> int:
    return len(embedder.token_spans(text))


def _logit(score: float) -> float:
    inside = min(max(score, _NEAREST), 1 - _NEAREST)
    return math.log(inside / (1 - inside))
