"""GET /v1/models: `ragpod`, `ragpod:STORE` for each store of the caller, the embedder, the reranker where there is one,
and the engine's own model.
"""

import asyncio
from typing import Any

from fastapi import APIRouter

from retrieval.store.types import VectorStore
from server.access.auth import Owner
from server.answering.ask import MODEL, unknown_model
from server.app.build import State, StateNow

router = APIRouter(tags=["models"])


@router.get("/v1/models")
async def list_models(owner: Owner, state: StateNow) -> dict[str, Any]:
    return {"object": "list", "data": await _models(state, owner)}


@router.get("/v1/models/{model:path}")
async def get_model(model: str, owner: Owner, state: StateNow) -> dict[str, Any]:
    for known in await _models(state, owner):
        if known["id"] == model:
            return known
    raise unknown_model(model)


async def _models(state: State, owner: str) -> list[dict[str, Any]]:
    ours = [_model(MODEL, state.started, "ragpod"), _model(state.embedder.name, state.started, "embedder")]
    if (reranker := state.plan.reranker) is not None:
        ours.append(_model(reranker.name, state.started, "reranker"))
    named = [store for store in await _stores(state, owner) if store.name and not store.expired]
    ours += [_model(f"{MODEL}:{store.name}", store.created_at, "ragpod") for store in named]
    return [*ours, _model(state.engine.generator.name, state.started, "engine")]


async def _stores(state: State, owner: str) -> list[VectorStore]:
    stores: list[VectorStore] = []
    more = True
    while more:
        after = stores[-1].id if stores else None
        page = await asyncio.to_thread(state.store.list_stores, owner, limit=100, order="asc", after=after)
        stores, more = [*stores, *page.items], page.has_more
    return stores


def _model(name: str, created: int, owned_by: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": owned_by}
