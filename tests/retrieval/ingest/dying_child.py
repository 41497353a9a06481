"""An ingestor that a file kills: it dies, without a word, at a text that has the word `deadly` in it. Run as a program:

DATA_DIR URL PAUSE: URL may be empty, for SQLite; PAUSE is Pace.death_pause. Ends by itself when nothing is in progress.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.retrieval.ingest.fake_embedder import PACE, FakeEmbedder
from tests.retrieval.ingest.member import member
from tests.until import PATIENCE, until


def die(texts: Sequence[str]) -> None:
    if "deadly" in " ".join(texts):
        os.kill(os.getpid(), signal.SIGKILL)


async def work(data_dir: Path, url: str, pause: float) -> None:
    embedder = FakeEmbedder()
    embedder.before = die
    async with member(data_dir, url or None, embedder, pace=replace(PACE, death_pause=pause)) as working:
        await until(working.is_idle, PATIENCE)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
