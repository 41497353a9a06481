"""/v1/vector_stores/{id}/file_batches: many files attached at once, watched together."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter

from retrieval.store_types import FileStatus, NotFound, StoreFile
from server.asking import new_id
from server.auth import Owner
from server.errors import bad_request, not_found
from server.openai.files import listing
from server.openai.objects import Attach, AttachMany, batch_object, store_file_object
from server.state import State, StateNow

router = APIRouter(prefix="/v1/vector_stores/{store_id}/file_batches", tags=["vector stores"])


@dataclass(frozen=True, slots=True)
class Batch:
    id: str
    created_at: int
    file_ids: tuple[str, ...]


@router.post("")
async def create(store_id: str, body: AttachMany, owner: Owner, state: StateNow) -> dict[str, Any]:
    """All of them, or none where one is unknown."""
    wanted = _wanted(body)
    for file in wanted:
        await asyncio.to_thread(state.store.get_file, owner, file.file_id)
    attached = [await state.ingestor.submit(owner, store_id, file.file_id, file.attributes) for file in wanted]
    batch = Batch(new_id("vsfb"), int(time.time()), tuple(file.file_id for file in attached))
    row = (batch.id, owner, store_id, batch.created_at, orjson.dumps(batch.file_ids).decode())
    await state.database.run(lambda db: db.execute("INSERT INTO file_batches VALUES (?, ?, ?, ?, ?)", row))
    return batch_object(batch.id, store_id, batch.created_at, attached)


@router.get("/{batch_id}")
async def get(store_id: str, batch_id: str, owner: Owner, state: StateNow) -> dict[str, Any]:
    batch = await _batch(state, owner, store_id, batch_id)
    return batch_object(batch_id, store_id, batch.created_at, await _files(state, owner, store_id, batch))


@router.get("/{batch_id}/files")
async def list_files(
    store_id: str, batch_id: str, owner: Owner, state: StateNow, filter: FileStatus | None = None
) -> dict[str, Any]:
    files = await _files(state, owner, store_id, await _batch(state, owner, store_id, batch_id))
    return listing([store_file_object(file) for file in files if filter in (None, file.status)], has_more=False)


@router.post("/{batch_id}/cancel")
async def cancel(store_id: str, batch_id: str, owner: Owner, state: StateNow) -> dict[str, Any]:
    """Ends what is in progress; what is indexed stays."""
    batch = await _batch(state, owner, store_id, batch_id)
    for file in await _files(state, owner, store_id, batch):
        await asyncio.to_thread(state.store.cancel, owner, store_id, file.file_id)
    return batch_object(batch_id, store_id, batch.created_at, await _files(state, owner, store_id, batch))


def _wanted(body: AttachMany) -> list[Attach]:
    if (body.file_ids is None) == (body.files is None):
        raise bad_request("either file_ids or files", "file_ids")
    return body.files or [Attach(file_id=file_id, attributes=body.attributes) for file_id in body.file_ids or []]


async def _batch(state: State, owner: str, store_id: str, batch_id: str) -> Batch:
    query = "SELECT created_at, file_ids FROM file_batches WHERE id = ? AND owner = ? AND store_id = ?"
    row = await state.database.run(lambda db: db.execute(query, (batch_id, owner, store_id)).fetchone())
    if row is None:
        raise not_found(f"no file batch {batch_id!r}")
    return Batch(batch_id, row[0], tuple(orjson.loads(row[1])))


async def _files(state: State, owner: str, store_id: str, batch: Batch) -> list[StoreFile]:
    """Those that are still in the store."""
    found = []
    for file_id in batch.file_ids:
        try:
            found.append(await asyncio.to_thread(state.store.get_store_file, owner, store_id, file_id))
        except NotFound:
            continue
    return found
