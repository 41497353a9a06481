"""Ingests whatever is put up, by a fake embedder, until its stdin is closed. Run as a program:

DATA_DIR URL LEASE: in seconds. Prints "working", and "embedded TEXT" for each passage, without its title; one that has
the word `stalled` in it is never done, and printed as "stalled TEXT" instead.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from retrieval.ingest.pace import Pace
from tests.retrieval.ingest.fake_embedder import FakeEmbedder
from tests.retrieval.ingest.member import member

RENEWAL = 0.1  # seconds


async def tell(texts: Sequence[str]) -> None:
    for text in texts:
        passage, stalled = text.rpartition("\n")[2], "stalled" in text
        print("stalled" if stalled else "embedded", passage, flush=True)
        if stalled:
            await asyncio.Event().wait()


async def work(data_dir: Path, url: str, lease: float) -> None:
    embedder = FakeEmbedder()
    embedder.before = tell
    pace = Pace(first_pause=0.01, index_pause=0.01, poll=0.01, lease=lease, renewal=RENEWAL)
    async with member(data_dir, url, embedder, pace=pace):
        print("working", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
