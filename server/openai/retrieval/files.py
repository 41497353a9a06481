"""/v1/files: uploaded files. Uploading alone indexes nothing; a vector store takes a file by its id."""

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import StreamingResponse

from retrieval.store.base.values import DAY
from retrieval.store.base.values import File as StoredFile
from retrieval.threads import Threads
from server.access.authentication import Owner
from server.http.errors import bad_request
from server.http.paging import Order, listing
from server.openai.retrieval.objects import StoreNow

router = APIRouter(prefix="/v1/files", tags=["files"])
Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
NAME_CHARACTERS = 512
BATCH_DAYS = 30
_PIECE = 1 << 18
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_FIELDS = {"file", "purpose", _ANCHOR, _SECONDS}


@router.post("")
async def create(
    owner: Owner,
    store: StoreNow,
    request: Request,
    file: Annotated[UploadFile, File()],
    purpose: Annotated[Purpose, Form()],
    anchor: Annotated[Literal["created_at"] | None, Form(alias=_ANCHOR)] = None,
    seconds: Annotated[int | None, Form(alias=_SECONDS, ge=3600, le=30 * DAY)] = None,
) -> dict[str, Any]:
    """The same bytes under the same name and purpose are the same file, which stays as long as any upload wants."""
    if unknown := (await request.form()).keys() - _FIELDS:
        raise bad_request(f"unknown field {min(unknown)!r}", min(unknown), "unknown_parameter")
    if (anchor is None) != (seconds is None):
        raise bad_request("expires_after needs both anchor and seconds", "expires_after")
    name = file.filename or ""
    if not name.strip() or len(name) > NAME_CHARACTERS or _CONTROL.search(name):
        raise bad_request(f"a file needs a name of at most {NAME_CHARACTERS} printable characters", "file")
    if not file.size:
        raise bad_request("the file is empty", "file", "empty_file")
    expires = BATCH_DAYS * DAY if seconds is None and purpose == "batch" else seconds
    add = partial(store.files.add, owner, name, file.file, file.content_type or "", purpose)
    return file_object(await store.writes.run(add, expires_seconds=expires))


@router.get("")
async def list_files(
    owner: Owner,
    store: StoreNow,
    purpose: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Order = "desc",
    after: str | None = None,
) -> dict[str, Any]:
    page = await store.reads.run(store.files.page, owner, purpose, limit=limit, order=order, after=after)
    return listing([file_object(file) for file in page.items], page.has_more)


@router.get("/{file_id}")
async def get(file_id: str, owner: Owner, store: StoreNow) -> dict[str, Any]:
    return file_object(await store.reads.run(store.files.get, owner, file_id))


@router.get("/{file_id}/content")
async def content(file_id: str, owner: Owner, store: StoreNow) -> Response:
    """The bytes as they were uploaded; never shown by a browser as a page of this server."""
    file, stream = await store.reads.run(store.files.open, owner, file_id)
    headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
    headers["Content-Length"] = str(file.bytes)
    return StreamingResponse(_pieces(stream, store.reads), headers=headers, media_type="application/octet-stream")


async def _pieces(stream: BinaryIO, reads: Threads) -> AsyncIterator[bytes]:
    """Closed however the reading ends."""
    try:
        while piece := await reads.run(stream.read, _PIECE):
            yield piece
    finally:
        stream.close()


@router.delete("/{file_id}")
async def delete(file_id: str, owner: Owner, store: StoreNow) -> dict[str, Any]:
    """Also takes it out of every vector store."""
    await store.writes.run(store.files.delete, owner, file_id)
    return {"id": file_id, "object": "file", "deleted": True}


def file_object(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }
