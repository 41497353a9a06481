"""Ingests a few files into all three indexes, and kills itself without warning at a given point. Run as a program:

DATA_DIR statement|rename|none N: at the N-th statement of the writing connection, or the N-th file put in place.
Prints "acknowledged NAME" when a submit has returned, "completed NAME" when it is searchable.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event

from models.embedders.e5 import E5Embedder
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.pace import Pace
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.store import Store
from tests.retrieval.lexical_e5 import LexicalE5

ROWS = [f'{{"_id": "{i}", "text": "row {i} of the table tells of item{i}"}}' for i in range(8)]
FILES = [
    ("a.txt", "alpha is the first letter"),
    ("table.jsonl", "\n".join(ROWS)),
    ("pages.txt", "\n\n".join(["this page is left blank"] * 3)),
    ("a.txt", "alpha is the first letter, and beta the second"),
    ("table.jsonl", "\n".join([*ROWS[:6], '{"_id": "new", "text": "a new row"}'])),
]


def die_at(point: int) -> Callable[..., None]:
    seen = 0

    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


async def ingest(data_dir: Path, kind: str, point: int) -> None:
    store, embedder = Store.open(data_dir), LexicalE5(E5Embedder.load(threads=1))
    manager = IndexManager(store.changes, store.passages, data_dir, embedder.dim, embedder.name)
    die = die_at(point)
    if kind == "statement":
        event.listen(store.database._engine, "before_cursor_execute", die)
    elif kind == "rename":
        sys.addaudithook(lambda event, _: die() if event == "os.rename" else None)
    ingestor = Ingestor(store, manager, embedder, Tokenizer.load(), pace=Pace(deaths=1_000, death_pause=0.0))
    await ingestor.start()
    vs = store.vector_stores.ensure("ann", "handbook").id
    for name, content in FILES:
        file = store.files.add("ann", name, content.encode())
        await ingestor.submit("ann", vs, file.id, {"name": name})
        print("acknowledged", name, flush=True)
        if (await ingestor.wait("ann", vs, file.id)).status == "completed":
            print("completed", name, flush=True)
    await ingestor.aclose()
    manager.close()
    embedder.close()
    store.close()


if __name__ == "__main__":
    asyncio.run(ingest(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
