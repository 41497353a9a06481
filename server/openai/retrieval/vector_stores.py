"""/v1/vector_stores and the files in them."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from retrieval.store.base.values import Attachment, FileStatus
from server.access.authentication import Owner
from server.http.json_body import JsonRoute
from server.http.paging import Paging, listing
from server.openai.retrieval.objects import (
    Attach,
    Attributes,
    ChangedStore,
    DocumentsNow,
    NewStore,
    StoreNow,
    store_file_object,
    store_object,
)

router = APIRouter(prefix="/v1/vector_stores", tags=["vector stores"], route_class=JsonRoute)
POLL_MS = "200"


def poll_again(response: Response, running: int) -> None:
    """The SDK's create_and_poll asks again after this long; its own default is a second."""
    if running:
        response.headers["openai-poll-after-ms"] = POLL_MS


@router.post("")
async def create(body: NewStore, owner: Owner, documents: DocumentsNow) -> dict[str, Any]:
    """With all of file_ids, or not at all where one is unknown."""
    chunking = body.chunking_strategy.chunking if body.chunking_strategy else None
    made = await documents.create_store(
        owner,
        body.name or "",
        body.metadata or {},
        description=body.description or "",
        expires_days=body.expires_after.days if body.expires_after else None,
        files=[Attachment(file_id, chunking=chunking) for file_id in dict.fromkeys(body.file_ids)],
    )
    return store_object(made)


@router.get("")
async def list_stores(owner: Owner, store: StoreNow, cursor: Paging) -> dict[str, Any]:
    page = await store.reads.run(store.vector_stores.page, owner, **cursor.arguments)
    return listing([store_object(each) for each in page.items], page.has_more)


@router.get("/{store_id}")
async def get(store_id: str, owner: Owner, store: StoreNow) -> dict[str, Any]:
    return store_object(await store.reads.run(store.vector_stores.find, owner, store_id))


@router.post("/{store_id}")
async def modify(store_id: str, body: ChangedStore, owner: Owner, store: StoreNow) -> dict[str, Any]:
    sent = body.model_fields_set
    change = partial(
        store.vector_stores.update,
        name=(body.name or "") if "name" in sent else None,
        metadata=(body.metadata or {}) if "metadata" in sent else None,
        expires_days=(body.expires_after.days if body.expires_after else 0) if "expires_after" in sent else None,
    )
    return store_object(await store.writes.run(change, owner, store_id))


@router.delete("/{store_id}")
async def delete(store_id: str, owner: Owner, documents: DocumentsNow) -> dict[str, Any]:
    """With its index; the files themselves stay."""
    await documents.delete_store(owner, store_id)
    return {"id": store_id, "object": "vector_store.deleted", "deleted": True}


@router.post("/{store_id}/files")
async def attach(store_id: str, body: Attach, owner: Owner, documents: DocumentsNow) -> dict[str, Any]:
    """Accepted when this returns, on disk; indexed when its status is completed."""
    return store_file_object(await documents.attach(owner, store_id, body.attachment))


@router.get("/{store_id}/files")
async def list_attached(
    store_id: str,
    owner: Owner,
    store: StoreNow,
    documents: DocumentsNow,
    cursor: Paging,
    status: Annotated[FileStatus | None, Query(alias="filter")] = None,
) -> dict[str, Any]:
    page = await store.reads.run(store.attachments.page, owner, store_id, status, **cursor.arguments)
    scans = documents.scans
    return listing([store_file_object(file, scans.pages(file.version)) for file in page.items], page.has_more)


@router.get("/{store_id}/files/{file_id}")
async def get_attached(
    store_id: str, file_id: str, owner: Owner, store: StoreNow, documents: DocumentsNow, response: Response
) -> dict[str, Any]:
    file = await store.reads.run(store.attachments.get, owner, store_id, file_id)
    poll_again(response, file.status == "in_progress")
    return store_file_object(file, documents.scans.pages(file.version))


@router.post("/{store_id}/files/{file_id}")
async def update_attached(
    store_id: str, file_id: str, body: Attributes, owner: Owner, store: StoreNow
) -> dict[str, Any]:
    changed = await store.writes.run(
        store.attachments.update_attributes, owner, store_id, file_id, body.attributes or {}
    )
    return store_file_object(changed)


@router.post("/{store_id}/files/{file_id}/retry")
async def retry(store_id: str, file_id: str, owner: Owner, documents: DocumentsNow) -> dict[str, Any]:
    """Not OpenAI's: a file that has failed or been cancelled is ingested anew; any other stays as it is, and so does
    one whose filename has newer content meanwhile.
    """
    return store_file_object(await documents.retry(owner, store_id, file_id))


@router.get("/{store_id}/files/{file_id}/content")
async def attached_content(store_id: str, file_id: str, owner: Owner, store: StoreNow) -> dict[str, Any]:
    """The text that was read from the file, one entry a document."""
    texts = await store.reads.run(store.attachments.content, owner, store_id, file_id)
    return {
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": text} for text in texts],
        "has_more": False,
        "next_page": None,
    }


@router.delete("/{store_id}/files/{file_id}")
async def detach(store_id: str, file_id: str, owner: Owner, store: StoreNow) -> dict[str, Any]:
    """Takes it out of the vector store; the file itself stays."""
    await store.writes.run(store.attachments.detach, owner, store_id, file_id)
    return {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}
