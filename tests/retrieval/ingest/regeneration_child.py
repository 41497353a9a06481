"""Makes a store's vector stores anew, and kills itself without warning at a given point. Run as a program:

DATA_DIR URL statement|switch|none N: at the N-th statement, or the N-th of those that switch. URL "-": SQLite. Prints
"switched" when nothing is left to do.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from sqlalchemy import event

from models.base import Embedding
from retrieval.embedders import Embedders
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.regeneration import Regeneration
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.base.values import VectorSpace
from retrieval.store.generations.values import Recipe
from retrieval.store.store import Store
from retrieval.types import Chunking, Cutting
from tests.retrieval.ingest.fake_embedder import PACE, FakeEmbedder
from tests.retrieval.publishing import vector
from tests.until import PATIENCE, until

NEW_DIM = 8
CUTTING = Cutting(Chunking(100, 0))
RECIPE = Recipe(VectorSpace("new", NEW_DIM), CUTTING)


class NewEmbedder(FakeEmbedder):
    name, dim = "new", NEW_DIM

    async def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        rows = np.stack([vector(text, NEW_DIM) for text in texts])
        return Embedding(rows, tokens=[row[None] for row in rows] if tokens else None)


class Dying:
    """at: which statement is the last, of all or, `switching`, of those of a switch."""

    def __init__(self, kind: str, at: int) -> None:
        self.kind, self.left, self.switching = kind, at, False

    def __call__(self, *_: object) -> None:
        if self.kind == "statement" or (self.kind == "switch" and self.switching):
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


async def regenerate(data_dir: Path, url: str, dying: Dying) -> None:
    with (
        closing(Store.open(data_dir, url=None if url == "-" else url, cutting=CUTTING)) as store,
        closing(IndexManager(store.changes, store.passages, data_dir, NEW_DIM)) as manager,
    ):
        event.listen(store.database._engine, "before_cursor_execute", dying)
        switch = store.generations.switch

        def switching(index_id: str, *, whole: bool = True, refuse: bool = False) -> object:
            dying.switching = True
            return switch(index_id, whole=whole, refuse=refuse)

        store.generations.switch = switching  # type: ignore[method-assign, assignment]
        embedders = Embedders(NewEmbedder(), lambda _: FakeEmbedder())
        shared = not store.database.is_sqlite
        ingestor = Ingestor(
            *(store, manager, embedders.current, Tokenizer.load()),
            name=store.consumer,
            shared=shared,
            pace=PACE,
            embedders=embedders,
        )
        regeneration = Regeneration(
            *(store, manager, embedders, RECIPE, ingestor.take_up), alone=not shared, kept_seconds=3600, seconds=0.01
        )
        await regeneration.begin()
        await ingestor.start()
        regeneration.start()
        await until(lambda: not store.generations.building() and not store.queue.unfinished(), PATIENCE)
        await regeneration.aclose()
        await ingestor.aclose()
    print("switched", flush=True)


if __name__ == "__main__":
    asyncio.run(regenerate(Path(sys.argv[1]), sys.argv[2], Dying(sys.argv[3], int(sys.argv[4]))))
