"""GET /v1/models: `ragpod`, `ragpod:STORE` for each store of the caller, the embedder, the reranker where there is one,
and the engine's own model.
"""

import time
from typing import Annotated, Any

from fastapi import APIRouter

from models.base import Embedder, Reranker
from retrieval.store.store import Store
from server.access.authentication import Owner
from server.answering.ask import MODEL
from server.answering.failures import UnknownModel
from server.answering.generators import Generators
from server.http.provided import provided

router = APIRouter(tags=["models"])


class Catalogue:
    """Every model id that an owner can ask for."""

    def __init__(self, store: Store, generators: Generators, embedder: Embedder, reranker: Reranker | None) -> None:
        self._store, self._generators = store, generators
        self._embedder, self._reranker = embedder, reranker
        self._started = int(time.time())

    async def models(self, owner: str) -> list[dict[str, Any]]:
        ours = [_model(MODEL, self._started, "ragpod"), _model(self._embedder.name, self._started, "embedder")]
        if self._reranker is not None:
            ours.append(_model(self._reranker.name, self._started, "reranker"))
        every = await self._store.reads.run(self._store.vector_stores.named, owner)
        named = [store for store in every if store.name and not store.expired]
        ours += [_model(f"{MODEL}:{store.name}", store.created_at, "ragpod") for store in named]
        if self._generators.engine.status != "absent":
            ours.append(_model(self._generators.name, self._started, "engine"))
        return ours


CatalogueNow = Annotated[Catalogue, provided(Catalogue)]


@router.get("/v1/models")
async def list_models(owner: Owner, catalogue: CatalogueNow) -> dict[str, Any]:
    return {"object": "list", "data": await catalogue.models(owner)}


@router.get("/v1/models/{model:path}")
async def get_model(model: str, owner: Owner, catalogue: CatalogueNow) -> dict[str, Any]:
    for known in await catalogue.models(owner):
        if known["id"] == model:
            return known
    raise UnknownModel(model)


def _model(name: str, created: int, owned_by: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": owned_by}
