"""An embedder of a few lines, and a store with an ingestor around it: for what goes on in between."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from models.base import Embedding, IntArray
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.pace import Pace
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.sandbox.pool import Parser
from retrieval.store.base.values import StoreFile
from retrieval.store.store import Store
from tests.retrieval.publishing import DIM, texts, vector

OWNER = "ann"
PACE = Pace(first_pause=0.01, index_pause=0.01, poll=0.01)


class FakeEmbedder:
    """Every call first awaits `before`, which may wait, or raise, for as long and whatever it likes."""

    name, dim, max_tokens, lexical = "fake", DIM, 512, False

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()
        self.before: Callable[[Sequence[str]], object] = lambda _: None
        self.embedded: list[str] = []

    async def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        rows = np.stack([vector(text) for text in texts])
        return Embedding(rows, tokens=[row[None] for row in rows] if tokens else None)

    async def embed_documents(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        self.waiting.set()
        await self.gate.wait()
        if asyncio.iscoroutine(waits := self.before(texts)):
            await waits
        self.embedded += texts
        return await self.embed_queries(texts, tokens=tokens)

    def token_spans(self, text: str) -> IntArray:
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        return np.array(spans, np.int32).reshape(-1, 2)

    def text_of(self, ids: Sequence[int]) -> str:
        raise ValueError(ids)

    def close(self) -> None:
        pass


class Bench:
    """A store, its indexes and a vector store; ingestors come and go."""

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self.store = Store.open(data_dir, clock=clock)
        self.manager = IndexManager(self.store.changes, self.store.passages, data_dir, DIM)
        self.vs = self.store.vector_stores.ensure(OWNER, "handbook").id
        self.tokenizer = Tokenizer.load()

    @asynccontextmanager
    async def ingestor(
        self,
        embedder: FakeEmbedder,
        *,
        workers: int = 4,
        name: str = "one",
        shared: bool = False,
        pace: Pace = PACE,
        parser: Parser | None = None,
        recognised: Path | None = None,
    ) -> AsyncIterator[Ingestor]:
        running = Ingestor(
            *(self.store, self.manager, embedder, self.tokenizer),
            workers=workers,
            name=name,
            shared=shared,
            pace=pace,
            parser=parser,
            recognised=recognised,
        )
        await running.start()
        try:
            yield running
        finally:
            await running.aclose()

    async def add(self, name: str, content: str | bytes) -> str:
        """The file's id."""
        given = content.encode() if isinstance(content, str) else content
        return (await asyncio.to_thread(self.store.files.add, OWNER, name, given)).id

    async def ingest(self, ingestor: Ingestor, name: str, content: str | bytes) -> StoreFile:
        file = await self.add(name, content)
        await ingestor.submit(OWNER, self.vs, file)
        return await ingestor.wait(OWNER, self.vs, file)

    async def is_idle(self) -> bool:
        """Whether nothing is in progress."""
        return await asyncio.to_thread(self.store.queue.unfinished) == 0

    async def texts(self) -> list[str]:
        return sorted(await asyncio.to_thread(texts, self.store, self.vs))

    async def is_level(self) -> bool:
        return not await asyncio.to_thread(self.manager.check)

    def close(self) -> None:
        self.manager.close()
        self.store.close()
