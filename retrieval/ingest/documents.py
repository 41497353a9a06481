"""What is done to vector stores and their files in more than one place: the store, the ingestor, the indexes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from retrieval.store.base.values import Attachment, Batch, StoreFile, VectorStore
from retrieval.store.store import Store

if TYPE_CHECKING:  # they load heavy libraries
    from retrieval.indexes.consistency import Difference
    from retrieval.indexes.manager import IndexManager
    from retrieval.ingest.scans import Scans
    from retrieval.ingest.worker import Ingestor


class Documents:
    """What a call has returned from is on disk; its files are indexed by and by. Every call raises NotFound."""

    def __init__(self, store: Store, ingestor: "Ingestor", manager: "IndexManager") -> None:
        self._store = store
        self._ingestor = ingestor
        self._manager = manager
        self._checking = asyncio.Lock()

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
        """With all of the files, or not at all where one is unknown."""
        create = partial(
            self._store.vector_stores.create, description=description, expires_days=expires_days, files=files
        )
        created = await self._store.writes.run(create, owner, name, metadata)
        self._ingestor.take_up()
        return created

    async def delete_store(self, owner: str, store_id: str) -> None:
        """With its indexes; the files themselves stay."""
        generations = await self._store.reads.run(self._store.generations.of, owner, store_id)
        await self._store.writes.run(self._store.vector_stores.delete, owner, store_id)
        for each in generations:
            await self._store.writes.run(self._manager.forget, each.index_id)

    async def attach(self, owner: str, store_id: str, wanted: Attachment) -> StoreFile:
        """Raises Expired."""
        return await self._ingestor.submit(owner, store_id, wanted.file_id, wanted.attributes, wanted.chunking)

    async def retry(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """One that has failed or been cancelled. Raises Expired."""
        attached = await self._store.writes.run(self._store.attachments.retry, owner, store_id, file_id)
        self._ingestor.take_up()
        return attached

    @property
    def scans(self) -> "Scans":
        """Files that are being recognised, by this process; not those of others that share the store."""
        return self._ingestor.scans

    async def differences(self, owner: str) -> list["Difference"]:
        """Between the owner's vector stores and their indexes. One call at a time: each reads everything."""
        async with self._checking:
            found = await self._store.reads.run(self._manager.check, owner)
            generations = await self._store.reads.run(self._store.generations.of, owner) if found else []
        names = {each.index_id: each.store_id for each in generations}
        return [replace(each, store_id=names.get(each.store_id, each.store_id)) for each in found]

    async def create_batch(self, owner: str, store_id: str, files: Sequence[Attachment]) -> Batch:
        """All of them, or none where one is unknown. Raises Expired."""
        batch = await self._store.writes.run(self._store.batches.create, owner, store_id, files)
        self._ingestor.take_up()
        return batch
