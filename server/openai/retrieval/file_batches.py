"""/v1/vector_stores/{id}/file_batches: many files attached at once, watched together."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from retrieval.store.base.values import Attachment, FileStatus
from server.access.authentication import Owner
from server.http.errors import bad_request
from server.http.json_body import JsonRoute
from server.http.paging import Paging, listing
from server.openai.retrieval.objects import (
    Attach,
    AttachMany,
    DocumentsNow,
    StoreNow,
    batch_object,
    progress_object,
    store_file_object,
)
from server.openai.retrieval.vector_stores import poll_again

router = APIRouter(prefix="/v1/vector_stores/{store_id}/file_batches", tags=["vector stores"], route_class=JsonRoute)


@router.post("")
async def create(store_id: str, body: AttachMany, owner: Owner, documents: DocumentsNow) -> dict[str, Any]:
    """All of them, or none where one is unknown."""
    wanted = _distinct(body)
    return batch_object(await documents.create_batch(owner, store_id, wanted))


@router.get("/{batch_id}")
async def get(
    store_id: str, batch_id: str, owner: Owner, store: StoreNow, documents: DocumentsNow, response: Response
) -> dict[str, Any]:
    """`ragpod.progress` beside OpenAI's fields: its rate is the mean since the batch was made, its `ocr` of the whole
    vector store.
    """
    batch = await store.reads.run(store.batches.get, owner, store_id, batch_id)
    progress = await store.reads.run(store.batches.progress, owner, store_id, batch_id)
    poll_again(response, batch.counts.in_progress)
    recognised = documents.scans.pages_in(store_id) if batch.counts.in_progress else None
    told = progress_object(progress, progress.passages, store.clock() - batch.created_at, recognised)
    return batch_object(batch) | {"ragpod": {"progress": told}}


@router.get("/{batch_id}/files")
async def list_files(
    store_id: str,
    batch_id: str,
    owner: Owner,
    store: StoreNow,
    cursor: Paging,
    status: Annotated[FileStatus | None, Query(alias="filter")] = None,
) -> dict[str, Any]:
    """Those that are still in the vector store."""
    listed = partial(store.batches.files, owner, store_id, batch_id, status)
    page = await store.reads.run(listed, **cursor.arguments)
    return listing([store_file_object(file) for file in page.items], page.has_more)


@router.post("/{batch_id}/cancel")
async def cancel(store_id: str, batch_id: str, owner: Owner, store: StoreNow) -> dict[str, Any]:
    """Ends what is in progress; what is indexed stays."""
    return batch_object(await store.writes.run(store.batches.cancel, owner, store_id, batch_id))


def _distinct(body: AttachMany) -> Sequence[Attachment]:
    """A file that is named twice counts once. Raises ApiError (400) where it is to be attached in two ways."""
    if (body.file_ids is None) == (body.files is None):
        raise bad_request("either file_ids or files", "file_ids")
    common = ("attributes", "chunking_strategy")
    if body.files and (given := [name for name in common if getattr(body, name) is not None]):
        raise bad_request(f"{given[0]} goes with file_ids; give each of files its own", given[0])
    each = body.files or [
        Attach(file_id=file_id, attributes=body.attributes, chunking_strategy=body.chunking_strategy)
        for file_id in body.file_ids or []
    ]
    wanted: dict[str, Attachment] = {}
    for i, file in enumerate(each):
        if wanted.setdefault(file.file_id, file.attachment) != file.attachment:
            raise bad_request(f"{file.file_id!r} is named twice, with different settings", f"files[{i}]")
    return list(wanted.values())
