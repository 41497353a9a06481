"""/api/v1/generations: what is found of each vector store, what is built anew beside it, what was found before."""

from typing import Annotated, Any

from fastapi import APIRouter

from retrieval.ingest.regeneration import Regeneration
from retrieval.store.generations.values import Generation
from server.access.authentication import Owner
from server.http.provided import provided
from server.openai.retrieval.objects import Body, StoreNow

router = APIRouter(prefix="/api/v1/generations", tags=["vector stores"])
RegenerationNow = Annotated[Regeneration, provided(Regeneration)]


class Switch(Body):
    """anyway: also to one that lacks files which are found now."""

    anyway: bool = False


@router.get("")
async def generations(owner: Owner, store: StoreNow, vector_store_id: str | None = None) -> dict[str, Any]:
    """Of the caller's vector stores, or of one. `building`: made as the settings want it now, found when `waiting` is
    0; `failed`: of those that wait, files that cannot be ingested anew. `kept` goes by itself, `refused` does not.
    """
    found = await store.reads.run(store.generations.of, owner, vector_store_id)
    return {"object": "list", "data": [generation_object(each) for each in found]}


@router.post("/{index_id}/switch")
async def switch(index_id: str, body: Switch, owner: Owner, regeneration: RegenerationNow) -> dict[str, Any]:
    """`switched`: it is found from now on. `waiting`, `failed`: it still lacks files, and is not. To one that was found
    before at once; files that came since are found when they are ingested. A switch away from what the settings want
    lasts: the next start does not undo it.
    """
    return {"id": index_id, "result": await regeneration.switch(owner, index_id, anyway=body.anyway)}


@router.delete("/{index_id}")
async def drop(index_id: str, owner: Owner, regeneration: RegenerationNow) -> dict[str, Any]:
    """Its passages, vectors and indexes, for ever; what is found stays."""
    await regeneration.drop(owner, index_id)
    return {"id": index_id, "deleted": True}


def generation_object(given: Generation) -> dict[str, Any]:
    recipe, files = given.recipe, given.files
    made = None
    if recipe is not None:
        (embedder, dim, lexical), cut = recipe.space, recipe.cutting
        made = {"embedder": embedder, "dimensions": dim, "lexical_weights": lexical, "revision": cut.revision}
        made |= {"passage_tokens": cut.chunking.size, "passage_overlap": cut.chunking.overlap}
        made |= {"masked": None if cut.masked is None else list(cut.masked)}
    return {
        "id": given.index_id,
        "object": "vector_store.generation",
        "vector_store_id": given.store_id,
        "vector_store_name": given.name,
        "state": given.state,
        "made_by": made,
        "files": {"total": files.total, "in_progress": files.in_progress, "completed": files.completed},
        "waiting": given.waiting,
        "failed": given.failed,
        "passages": given.passages,
        "usage_bytes": given.bytes,
        "ended_at": given.ended_at,
    }
