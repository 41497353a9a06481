"""One of several that ingest into the same database, each with a data folder of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from retrieval.indexes.manager import IndexManager
from retrieval.ingest.pace import Pace
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.base.values import StoreFile, StoreUnavailable
from retrieval.store.store import Store
from tests.retrieval.ingest.fake_embedder import OWNER, PACE, FakeEmbedder
from tests.retrieval.publishing import DIM, texts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Member:
    """vs: the vector store `handbook`, the same one for every member."""

    store: Store
    manager: IndexManager
    embedder: FakeEmbedder
    tokenizer: Tokenizer
    ingestor: Ingestor
    vs: str

    async def put(self, name: str, content: str) -> str:
        """Acknowledged, not yet completed: the file's id."""
        file = await asyncio.to_thread(self.store.files.add, OWNER, name, content.encode())
        await self.ingestor.submit(OWNER, self.vs, file.id)
        return file.id

    async def attached(self) -> list[StoreFile]:
        return (await asyncio.to_thread(self.store.attachments.page, OWNER, self.vs, limit=100)).items

    async def is_idle(self) -> bool:
        """Whether nothing is in progress, by whomever."""
        return await asyncio.to_thread(self.store.queue.unfinished) == 0

    async def texts(self) -> list[str]:
        return sorted(await asyncio.to_thread(texts, self.store, self.vs))

    async def is_level(self) -> bool:
        """Whether this one's indexes hold what is in the store, no more and no less."""
        return not await asyncio.to_thread(self.manager.check)


@asynccontextmanager
async def member(
    data_dir: Path, url: str | None, embedder: FakeEmbedder | None = None, *, workers: int = 4, pace: Pace = PACE
) -> AsyncIterator[Member]:
    tokenizer, embedder = Tokenizer.load(), embedder or FakeEmbedder()
    with (
        closing(await asyncio.to_thread(Store.open, data_dir, url=url)) as store,
        closing(IndexManager(store.changes, store.passages, data_dir, DIM, embedder.name)) as manager,
    ):
        ingestor = Ingestor(
            store, manager, embedder, tokenizer, workers=workers, name=store.consumer, shared=True, pace=pace
        )
        await ingestor.start()
        try:
            vs = await asyncio.to_thread(store.vector_stores.ensure, OWNER, "handbook")
            yield Member(store, manager, embedder, tokenizer, ingestor, vs.id)
        finally:
            await ingestor.aclose()


async def while_away(call: Callable[[], T]) -> T:
    """As a client does: again and again while the database is not available."""
    while True:
        try:
            return await asyncio.to_thread(call)
        except StoreUnavailable:
            await asyncio.sleep(0.01)
