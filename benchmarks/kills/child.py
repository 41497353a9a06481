"""An ingestor with its parsers in children of their own, which benchmarks.kills kills. Run as a program:

DATA_DIR MOVES FIRST LAST: makes the moves from FIRST up to LAST. Prints "working" when it has started, "acknowledged N"
when a move has returned, and "finished" when it was the last of all and nothing is in progress.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from benchmarks.kills.load import AT_ONCE, Move, read_moves
from benchmarks.store.child import FakeEmbedder
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.sandbox.pool import Pool
from retrieval.store.base.values import NotFound, StoreFile
from retrieval.store.store import Store

OWNER, HANDBOOK = "bench", "handbook"
_IDLE_SECONDS = 0.05


@asynccontextmanager
async def opened(data_dir: Path) -> AsyncIterator[tuple[Store, IndexManager, Ingestor]]:
    embedder, store = FakeEmbedder(), Store.open(data_dir)
    manager = IndexManager(store.changes, store.passages, data_dir, embedder.dim, embedder.name)
    ingestor = Ingestor(store, manager, embedder, Tokenizer.load(), parser=Pool(2))
    await ingestor.start()
    try:
        yield store, manager, ingestor
    finally:
        await ingestor.aclose()
        manager.close()
        store.close()


async def make(data_dir: Path, moves: list[Move], first: int, last: int) -> None:
    async with opened(data_dir) as (store, _, ingestor):
        store_id = await asyncio.to_thread(lambda: store.vector_stores.ensure(OWNER, HANDBOOK).id)
        print("working", flush=True)
        for number in range(first, last):
            await _make(store, ingestor, store_id, moves[number])
            print("acknowledged", number, flush=True)
        while await asyncio.to_thread(store.queue.unfinished):  # noqa: ASYNC110  the database wakes nobody
            await asyncio.sleep(_IDLE_SECONDS)
        if last < len(moves):
            await asyncio.Event().wait()  # for the kill
    print("finished", flush=True)


async def _make(store: Store, ingestor: Ingestor, store_id: str, move: Move) -> None:
    """Once more is the same as once."""
    if move.kind == "delete":
        for file in await asyncio.to_thread(attached, store, store_id):
            if file.filename == move.name:
                with suppress(NotFound):
                    await asyncio.to_thread(store.files.delete, OWNER, file.file_id)
        return
    content = await asyncio.to_thread(Path(move.path).read_bytes)

    async def put() -> None:
        file = await asyncio.to_thread(store.files.add, OWNER, move.name, content)
        await ingestor.submit(OWNER, store_id, file.id)

    await asyncio.gather(*(put() for _ in range(AT_ONCE if move.kind == "same" else 1)))


def attached(store: Store, store_id: str) -> list[StoreFile]:
    found: list[StoreFile] = []
    after: str | None = None
    while True:
        page = store.attachments.page(OWNER, store_id, limit=100, after=after)
        found += page.items
        if not page.has_more:
            return found
        after = page.items[-1].file_id


if __name__ == "__main__":
    asyncio.run(make(Path(sys.argv[1]), read_moves(Path(sys.argv[2])), int(sys.argv[3]), int(sys.argv[4])))
