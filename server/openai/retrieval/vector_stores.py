"""/v1/vector_stores and the files in them."""

import asyncio
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from retrieval.store.types import Attachment, FileStatus
from server.access.auth import Owner
from server.app.build import StateNow
from server.http.json_body import JsonRoute
from server.openai.retrieval.files import Order, listing
from server.openai.retrieval.objects import Attach, Attributes, ChangedStore, NewStore, store_file_object, store_object

router = APIRouter(prefix="/v1/vector_stores", tags=["vector stores"], route_class=JsonRoute)
POLL_MS = "200"


class Cursor:
    """OpenAI's pagination: limit, order, after, before."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> None:
        self.arguments: dict[str, Any] = {"limit": limit, "order": order, "after": after, "before": before}


Paging = Annotated[Cursor, Depends()]


def poll_again(response: Response, running: int) -> None:
    """The SDK's create_and_poll asks again after this long; its own default is a second."""
    if running:
        response.headers["openai-poll-after-ms"] = POLL_MS


@router.post("")
async def create(body: NewStore, owner: Owner, state: StateNow) -> dict[str, Any]:
    """With all of file_ids, or not at all where one is unknown."""
    chunking = body.chunking_strategy.chunking if body.chunking_strategy else None
    make = partial(
        state.store.create_store,
        description=body.description or "",
        expires_days=body.expires_after.days if body.expires_after else None,
        files=[Attachment(file_id, chunking=chunking) for file_id in dict.fromkeys(body.file_ids)],
    )
    store = await asyncio.to_thread(make, owner, body.name or "", body.metadata or {})
    await state.ingestor.take_up()
    return store_object(store)


@router.get("")
async def list_stores(owner: Owner, state: StateNow, cursor: Paging) -> dict[str, Any]:
    page = await asyncio.to_thread(state.store.list_stores, owner, **cursor.arguments)
    return listing([store_object(store) for store in page.items], page.has_more)


@router.get("/{store_id}")
async def get(store_id: str, owner: Owner, state: StateNow) -> dict[str, Any]:
    return store_object(await asyncio.to_thread(state.store.find_store, owner, store_id))


@router.post("/{store_id}")
async def modify(store_id: str, body: ChangedStore, owner: Owner, state: StateNow) -> dict[str, Any]:
    sent = body.model_fields_set
    change = partial(
        state.store.update_store,
        name=(body.name or "") if "name" in sent else None,
        metadata=(body.metadata or {}) if "metadata" in sent else None,
        expires_days=(body.expires_after.days if body.expires_after else 0) if "expires_after" in sent else None,
    )
    return store_object(await asyncio.to_thread(change, owner, store_id))


@router.delete("/{store_id}")
async def delete(store_id: str, owner: Owner, state: StateNow) -> dict[str, Any]:
    """With its index; the files themselves stay."""
    await asyncio.to_thread(state.store.delete_store, owner, store_id)
    await asyncio.to_thread(state.corpus.forget, store_id)
    return {"id": store_id, "object": "vector_store.deleted", "deleted": True}


@router.post("/{store_id}/files")
async def attach(store_id: str, body: Attach, owner: Owner, state: StateNow) -> dict[str, Any]:
    """Accepted when this returns, on disk; indexed when its status is completed."""
    wanted = body.attachment
    attached = await state.ingestor.submit(owner, store_id, wanted.file_id, wanted.attributes, wanted.chunking)
    return store_file_object(attached)


@router.get("/{store_id}/files")
async def list_attached(
    store_id: str,
    owner: Owner,
    state: StateNow,
    cursor: Paging,
    status: Annotated[FileStatus | None, Query(alias="filter")] = None,
) -> dict[str, Any]:
    page = await asyncio.to_thread(state.store.list_store_files, owner, store_id, status, **cursor.arguments)
    return listing([store_file_object(file) for file in page.items], page.has_more)


@router.get("/{store_id}/files/{file_id}")
async def get_attached(
    store_id: str, file_id: str, owner: Owner, state: StateNow, response: Response
) -> dict[str, Any]:
    file = await asyncio.to_thread(state.store.get_store_file, owner, store_id, file_id)
    poll_again(response, file.status == "in_progress")
    return store_file_object(file)


@router.post("/{store_id}/files/{file_id}")
async def update_attached(
    store_id: str, file_id: str, body: Attributes, owner: Owner, state: StateNow
) -> dict[str, Any]:
    changed = await asyncio.to_thread(state.store.update_attributes, owner, store_id, file_id, body.attributes or {})
    return store_file_object(changed)


@router.get("/{store_id}/files/{file_id}/content")
async def attached_content(store_id: str, file_id: str, owner: Owner, state: StateNow) -> dict[str, Any]:
    """The text that was read from the file, one entry a document."""
    texts = await asyncio.to_thread(state.store.store_file_content, owner, store_id, file_id)
    return {
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": text} for text in texts],
        "has_more": False,
        "next_page": None,
    }


@router.delete("/{store_id}/files/{file_id}")
async def detach(store_id: str, file_id: str, owner: Owner, state: StateNow) -> dict[str, Any]:
    """Takes it out of the vector store; the file itself stays."""
    await asyncio.to_thread(state.store.detach, owner, store_id, file_id)
    return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}
