"""What routes and commands do with documents, where it takes more than one part of the room."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from retrieval.store.store import Store
from retrieval.store.types import Attachment, Batch, StoreFile, VectorStore
from retrieval.types import Attributes, Chunking

if TYPE_CHECKING:  # they load heavy libraries
    from retrieval.indexes.manager import IndexManager
    from retrieval.ingest.worker import Ingestor


class Documents:
    def __init__(self, store: Store, ingestor: "Ingestor", indexes: "IndexManager") -> None:
        self._store, self._ingestor, self._indexes = store, ingestor, indexes

    async def create_store(
        self,
        owner: str,
        name: str,
        metadata: Mapping[str, str] | None = None,
        *,
        description: str = "",
        expires_days: int | None = None,
        files: Sequence[Attachment] = (),
    ) -> VectorStore:
        make = partial(self._store.create_store, description=description, expires_days=expires_days, files=files)
        made = await asyncio.to_thread(make, owner, name, metadata)
        await self._ingestor.take_up()
        return made

    async def create_batch(self, owner: str, store_id: str, files: Sequence[Attachment]) -> Batch:
        batch = await asyncio.to_thread(self._store.create_batch, owner, store_id, files)
        await self._ingestor.take_up()
        return batch

    async def attach(
        self, owner: str, store_id: str, file_id: str, attributes: Attributes | None, chunking: Chunking | None
    ) -> StoreFile:
        return await self._ingestor.submit(owner, store_id, file_id, attributes, chunking)

    async def delete_store(self, owner: str, store_id: str) -> None:
        await asyncio.to_thread(self._store.delete_store, owner, store_id)
        await asyncio.to_thread(self._indexes.forget, store_id)
