"""Makes a plan's moves (moves.py) from one on, and kills itself without warning at a given point. Run as a program:

DATA_DIR URL SEED LENGTH FIRST statement|rename|none N: at the N-th statement or commit, or the N-th file put in place.
Prints "acknowledged NUMBER" when a move is done, "finished" when all are and nothing is in progress.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine, event

from retrieval.store.base.values import NotFound, StoreFile
from tests.retrieval.ingest.fake_embedder import OWNER, PACE
from tests.retrieval.ingest.ingest_child import die_at
from tests.retrieval.ingest.member import Member, member
from tests.retrieval.ingest.moves import Move, plan
from tests.until import PATIENCE, until

KILLED = replace(PACE, deaths=1_000, death_pause=0.0)  # by no file


async def make(moves: Sequence[Move], first: int, data_dir: Path, url: str) -> None:
    async with member(data_dir, url, pace=KILLED) as working:
        for number in range(first, len(moves)):
            await done(working, moves[number])
            print("acknowledged", number, flush=True)
        await until(working.is_idle, PATIENCE)
        print("finished", flush=True)


async def done(working: Member, move: Move) -> None:
    """Once more is the same as once."""
    if move.kind == "put":
        await working.put(move.name, move.content.decode())
    elif move.kind == "sweep":
        await asyncio.to_thread(working.store.retention.sweep_blobs)
    else:
        for file in await named(working, move.name):
            if move.kind == "remove":
                await asyncio.to_thread(working.store.files.delete, OWNER, file.file_id)
            elif file.status == "in_progress":
                with suppress(NotFound):  # replaced by a later version meanwhile
                    await working.ingestor.wait(OWNER, working.vs, file.file_id)


async def named(working: Member, name: str) -> list[StoreFile]:
    return [file for file in await working.attached() if file.filename == name]


if __name__ == "__main__":
    data_dir, url, seed, length, first, kind, point = sys.argv[1:]
    die = die_at(int(point))
    if kind == "statement":
        event.listen(Engine, "before_cursor_execute", die)
        event.listen(Engine, "commit", die)
    elif kind == "rename":
        sys.addaudithook(lambda name, _: die() if name == "os.rename" else None)
    asyncio.run(make(plan(int(seed), int(length)), int(first), Path(data_dir), url))
