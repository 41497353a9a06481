"""POST /v1/embeddings: the server's own embedder, in OpenAI's form."""

import asyncio
import base64
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from models.base import Embedder, FloatArray
from server.answering.ask import MODEL
from server.answering.failures import UnknownModel
from server.http.errors import bad_request
from server.http.json_body import JsonRoute
from server.http.provided import provided

router = APIRouter(tags=["embeddings"], route_class=JsonRoute)
INPUTS = 2048
TOKENS = 300_000  # of all inputs together
_MARKS = 8  # tokens that a model adds to a text


class EmbeddingRequest(BaseModel):
    """input_type and truncate are ours: an asymmetric model embeds questions and documents differently; a text over
    the model's length is cut instead of refused.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    input: Any
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)
    input_type: Literal["query", "document"] = "query"
    truncate: bool = False
    user: str | None = None


@router.post("/v1/embeddings")
async def embeddings(body: EmbeddingRequest, embedder: Annotated[Embedder, provided(Embedder)]) -> Response:
    """Rows are L2-normalised, also after `dimensions` cut them."""
    if body.model not in (MODEL, embedder.name):
        raise UnknownModel(body.model)
    if body.dimensions is not None and body.dimensions > embedder.dim:
        raise bad_request(f"{embedder.name} has {embedder.dim} dimensions", "dimensions")
    texts, tokens = await asyncio.to_thread(_measured, embedder, body)
    embed = embedder.embed_queries if body.input_type == "query" else embedder.embed_documents
    vectors = shortened((await embed(texts)).dense, body.dimensions)
    rows = [_row(i, vector, body.encoding_format) for i, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer = {"object": "list", "data": rows, "model": embedder.name, "usage": usage}
    return Response(orjson.dumps(answer), media_type="application/json")


def _measured(embedder: Embedder, body: EmbeddingRequest) -> tuple[list[str], int]:
    """The texts, and how many tokens of them are embedded. Raises ApiError (400), naming the input."""
    room, texts, total = embedder.max_tokens - _MARKS, list[str](), 0
    for place, each in _inputs(body.input):
        text = _text(embedder, each, place)
        count = len(embedder.token_spans(text))
        if count > room and not body.truncate:
            message = f"{place} has {count} tokens, {embedder.name} reads at most {room}"
            raise bad_request(message, place, "context_length_exceeded")
        texts.append(text)
        total += min(count, room)
        if total > TOKENS:
            raise bad_request(f"more than {TOKENS} tokens in one request", "input", "context_length_exceeded")
    return texts, total


def _inputs(given: Any) -> list[tuple[str, str | list[int]]]:
    """OpenAI's four forms, each input with its place. Raises ApiError (400), naming the one that is of no form."""
    if isinstance(given, str) or _is_ids(given):
        return [("input", given)]
    if not isinstance(given, list) or not 1 <= len(given) <= INPUTS:
        raise bad_request(f"input must be text, token ids, or a list of 1 to {INPUTS} of either", "input")
    kind = str if isinstance(given[0], str) else list
    for i, each in enumerate(given):
        if not isinstance(each, kind) or (kind is list and not _is_ids(each)):
            raise bad_request(f"input[{i}] must be {'text' if kind is str else 'token ids'}", f"input[{i}]")
    return [(f"input[{i}]", each) for i, each in enumerate(given)]


def _is_ids(given: Any) -> bool:
    return (
        isinstance(given, list)
        and bool(given)
        and all(isinstance(each, int) and not isinstance(each, bool) for each in given)
    )


def _text(embedder: Embedder, given: str | list[int], place: str) -> str:
    try:
        text = given if isinstance(given, str) else embedder.text_of(given)
    except ValueError as error:
        raise bad_request(f"{place}: {error}", place, "unknown_token") from None
    if not text.strip():
        raise bad_request(f"{place} must not be empty", place)
    return text


def shortened(vectors: FloatArray, dimensions: int | None) -> FloatArray:
    """(n, dimensions), rows normalised again; None leaves them as they are."""
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    cut: FloatArray = vectors[:, :dimensions]
    normalised: FloatArray = cut / np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return normalised


def _row(index: int, vector: FloatArray, encoding: str) -> dict[str, Any]:
    little = vector.astype("<f4")
    value: str | list[float] = base64.b64encode(little.tobytes()).decode() if encoding == "base64" else little.tolist()
    return {"object": "embedding", "index": index, "embedding": value}
