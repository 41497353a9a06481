"""What short documents cost as they become many: ingest, disk, memory, a restart, searches.

    python -m benchmarks.ingest.growth [--sizes 1000 10000] [--real] [--rate 2000]

A document is twelve words of a row of JSON lines, a thousand rows a file. Each size has a process of its own and a new
data folder: store (SQLite), analyser, indexes, parsers' children and rerank stages are the real ones. The embedder is a
stub that gives random vectors, `--rate` passages a second; --real takes the embedded profile's. restart_s: from nothing
open to the first search's answer, in the same process. Searches are of other words each, one at a time.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness import Spread, note, options, report
from benchmarks.memory import WORDS
from benchmarks.store.child import FakeEmbedder
from models.base import Embedder, Embedding
from models.embedders.e5 import E5Embedder
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.search import Retriever
from retrieval.sandbox.pool import Pool
from retrieval.store.store import Store
from retrieval.types import SearchParams

OWNER = "bench"
_OF_A_FILE = 1000
_SEARCHES = 200


@dataclass(frozen=True, slots=True)
class Row:
    """cpu_s: of this process and its children while it ingested. load: of the machine, at the end."""

    documents: int
    embedder: str
    ingest_s: float
    documents_per_s: float
    cpu_s: float
    disk_mb: float
    rss_mb: int
    restart_s: float
    search_p50_ms: float
    search_p99_ms: float
    load: float


class Stub(FakeEmbedder):
    """rate: passages a second."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._seconds = 1 / rate

    async def embed_documents(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        await asyncio.sleep(len(texts) * self._seconds)
        return await super().embed_documents(texts, tokens=tokens)


def main() -> None:
    arguments = options(__doc__)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    arguments.add_argument("--rate", type=float, default=2000, help="passages a second that the stub embeds")
    arguments.add_argument("--real", action="store_true", help="the embedded profile's embedder")
    arguments.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.alone:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(asyncio.run(measured(given.sizes[0], given, Path(folder))))))
        return
    rows = []
    for size in given.sizes:
        more = ["--real"] if given.real else ["--rate", str(given.rate)]
        program = [sys.executable, "-m", "benchmarks.ingest.growth", "--alone", "--sizes", str(size), *more]
        done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(Row(**json.loads(done.stdout)))
        note(rows[-1])
    report("ingest.growth", given, rows)


@asynccontextmanager
async def opened(folder: Path, embedder: Embedder) -> AsyncIterator[tuple[Store, Ingestor, Retriever]]:
    tokenizer, store = Tokenizer.load(), Store.open(folder)
    manager = IndexManager(store.changes, store.passages, folder, embedder.dim, embedder.name)
    ingestor = Ingestor(store, manager, embedder, tokenizer, parser=Pool(2))
    await ingestor.start()
    try:
        yield store, ingestor, Retriever(store, manager, embedder, tokenizer)
    finally:
        await ingestor.aclose()
        manager.close()
        store.close()


async def measured(size: int, given: argparse.Namespace, folder: Path) -> Row:
    embedder: Embedder = E5Embedder.load() if given.real else Stub(given.rate)
    chance, cpu, began = random.Random(given.seed), _cpu(), time.perf_counter()
    async with opened(folder, embedder) as (store, ingestor, _):
        store_id = store.vector_stores.create(OWNER, "many").id
        files = []
        for first in range(0, size, _OF_A_FILE):
            count = min(_OF_A_FILE, size - first)
            rows = "\n".join(json.dumps({"text": _words(chance, 12)}, ensure_ascii=False) for _ in range(count))
            file = await asyncio.to_thread(store.files.add, OWNER, f"rows-{first}.jsonl", rows.encode())
            await ingestor.submit(OWNER, store_id, file.id)
            files.append(file.id)
        for file_id in files:
            done = await ingestor.wait(OWNER, store_id, file_id)
            assert done.status == "completed", done.error
        ingested = time.perf_counter() - began
    spent = _cpu() - cpu
    began = time.perf_counter()
    async with opened(folder, embedder) as (store, _, retriever):
        vs = store.vector_stores.resolve(OWNER, store_id)
        seconds = []
        for number in range(_SEARCHES + 1):
            asked = time.perf_counter()
            await retriever.search(OWNER, [vs], _words(chance, 4), SearchParams(min_score=0))
            seconds.append(time.perf_counter() - asked)
            if number == 0:
                restart = time.perf_counter() - began
        rss = _resident_mb()
    spread = Spread.of(seconds[1:])
    embedder.close()
    return Row(
        documents=size,
        embedder=embedder.name if given.real else f"{given.rate:.0f}/s",
        ingest_s=round(ingested, 1),
        documents_per_s=round(size / ingested, 1),
        cpu_s=round(spent, 1),
        disk_mb=round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 1),  # noqa: ASYNC240
        rss_mb=rss,
        restart_s=round(restart, 2),
        search_p50_ms=spread.p50,
        search_p99_ms=spread.p99,
        load=round(os.getloadavg()[0], 1),
    )


def _words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count)) + f" {chance.randrange(10**6)}"


def _cpu() -> float:
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _resident_mb() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize() >> 20


if __name__ == "__main__":
    main()
