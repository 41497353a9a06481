"""POST /v1/embeddings: the server's own embedder, in OpenAI's form."""

import asyncio
import base64
from typing import Any, Literal

import numpy as np
import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from models.base import FloatArray
from server.asking import MODEL, unknown_model
from server.errors import bad_request
from server.state import StateNow

router = APIRouter(tags=["embeddings"])
INPUTS = 2048


class EmbeddingRequest(BaseModel):
    """input_type is ours: an asymmetric model embeds questions and documents differently."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str
    input: str | list[str] | list[int] | list[list[int]]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)
    input_type: Literal["query", "document"] = "query"
    user: str | None = None


@router.post("/v1/embeddings")
async def embeddings(body: EmbeddingRequest, state: StateNow) -> Response:
    """Rows are L2-normalised, also after `dimensions` cut them."""
    embedder = state.embedder
    if body.model not in (MODEL, embedder.name):
        raise unknown_model(body.model)
    texts = _texts(body)
    if body.dimensions is not None and body.dimensions > embedder.dim:
        raise bad_request(f"{embedder.name} has {embedder.dim} dimensions", "dimensions")
    embed = embedder.embed_queries if body.input_type == "query" else embedder.embed_documents
    vectors = shortened((await embed(texts)).dense, body.dimensions)
    tokens = await asyncio.to_thread(lambda: sum(len(embedder.token_spans(text)) for text in texts))
    rows = [_row(i, vector, body.encoding_format) for i, vector in enumerate(vectors)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer = {"object": "list", "data": rows, "model": embedder.name, "usage": usage}
    return Response(orjson.dumps(answer), media_type="application/json")


def _texts(body: EmbeddingRequest) -> list[str]:
    given = [body.input] if isinstance(body.input, str) else body.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) != len(given):
        raise bad_request("token ids are of another model's vocabulary: send text", "input", "token_ids_refused")
    if not texts or len(texts) > INPUTS:
        raise bad_request(f"1 to {INPUTS} inputs", "input")
    if not all(text.strip() for text in texts):
        raise bad_request("an input must not be empty", "input")
    return texts


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
