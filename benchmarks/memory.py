"""Does memory stay flat? Resident set of one process over many searches, then over many ingests.

    python -m benchmarks.memory [--searches 10000] [--ingests 1000] [--passages 1000] [--seed 0]

The embedded profile's real parts: E5, Kiwi terms, SQLite, FAISS, tantivy, the whole retrieval pipeline. A store of
`--passages` short documents is ingested first; the baseline is taken after a warm-up that is not counted. Each ingest
then replaces one of 50 files by new content, so the store keeps its size and any growth is a leak. Last line: JSON.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from models.base import Embedder
from models.embedders.e5 import E5Embedder
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.search import Retriever
from retrieval.store.store import Store
from retrieval.types import SearchParams
from server.app.allocator import limit_arenas

OWNER = "bench"
FILES = 50
WARM_SEARCHES, WARM_INGESTS = 1000, 150
ENGLISH = "refund delivery battery warranty password invoice account order screen network update printer camera folder"
KOREAN = "환불 배송 배터리 보증 비밀번호 청구서 계정 주문 화면 네트워크 업데이트 프린터 카메라 폴더 백업 라이선스"
WORDS = [*ENGLISH.split(), *KOREAN.split()]


@dataclass(frozen=True, slots=True)
class Sample:
    """mb: resident set. growth_mb: since the phase's baseline."""

    phase: str
    done: int
    seconds: float
    mb: float
    growth_mb: float


class Bench:
    """embedder: None loads the real one."""

    def __init__(self, data_dir: Path, seed: int, embedder: Embedder | None = None) -> None:
        self.rng = random.Random(seed)
        self.store = Store.open(data_dir)
        self.embedder = embedder or E5Embedder.load()
        self.manager = IndexManager(
            self.store.changes, self.store.passages, data_dir, self.embedder.dim, self.embedder.name
        )
        tokenizer = Tokenizer.load()
        self.ingestor = Ingestor(self.store, self.manager, self.embedder, tokenizer)
        self.retriever = Retriever(self.store, self.manager, self.embedder, tokenizer)
        self.vs = self.store.vector_stores.create(OWNER, "memory").id

    def sentence(self, words: int) -> str:
        return " ".join(self.rng.choices(WORDS, k=words)) + f" {self.rng.randrange(10**6)}"

    async def ingest(self, name: str, content: str) -> None:
        file = await asyncio.to_thread(self.store.files.add, OWNER, name, content.encode())
        await self.ingestor.submit(OWNER, self.vs, file.id)
        done = await self.ingestor.wait(OWNER, self.vs, file.id)
        if done.status != "completed":
            raise RuntimeError(f"{name}: {done.error}")

    async def replace_one(self, number: int) -> None:
        name = f"page-{number % FILES}.txt"
        before = await asyncio.to_thread(self.store.files.page, OWNER, limit=FILES + 1)
        await self.ingest(name, self.sentence(60))
        for old in [file for file in before.items if file.filename == name]:
            await asyncio.to_thread(self.store.files.delete, OWNER, old.id)

    async def search(self, number: int) -> None:
        vs = self.store.vector_stores.resolve(OWNER, self.vs)
        await self.retriever.search(OWNER, [vs], self.sentence(5), SearchParams())

    async def close(self) -> None:
        await self.ingestor.aclose()
        self.manager.close()
        self.embedder.close()
        self.store.close()


def resident_mb() -> float:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def watch(phase: str, step: Callable[[int], Awaitable[None]], warm: int, count: int) -> list[Sample]:
    """Ten samples over `count` steps, after `warm` that are not counted."""
    for number in range(warm):
        await step(number)
    base, since = resident_mb(), time.perf_counter()
    samples = [Sample(phase, 0, 0.0, round(base, 1), 0.0)]
    for number in range(1, count + 1):
        await step(warm + number)
        if number % max(1, count // 10) == 0:
            mb, seconds = resident_mb(), time.perf_counter() - since
            samples.append(Sample(phase, number, round(seconds, 1), round(mb, 1), round(mb - base, 1)))
            show(samples[-1])
    return samples


def show(sample: Sample) -> None:
    print(
        f"{sample.phase:8} {sample.done:7} {sample.seconds:8.1f} {sample.mb:9.1f} {sample.growth_mb:+9.1f}", flush=True
    )


async def run(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="ragpod-memory-") as folder:
        bench = Bench(Path(folder), arguments.seed)
        await bench.ingestor.start()
        rows = [json.dumps({"_id": str(i), "text": bench.sentence(40)}) for i in range(arguments.passages)]
        await bench.ingest("base.jsonl", "\n".join(rows))
        print(f"{'phase':8} {'done':>7} {'seconds':>8} {'rss MB':>9} {'growth':>9}")
        searches = await watch("search", bench.search, WARM_SEARCHES, arguments.searches)
        ingests = await watch("ingest", bench.replace_one, WARM_INGESTS, arguments.ingests)
        differences = await asyncio.to_thread(bench.manager.check)
        await bench.close()
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "platform": platform.platform()}
    result = {
        "benchmark": "memory",
        **vars(arguments),
        **machine,
        "search_growth_mb": searches[-1].growth_mb,
        "ingest_growth_mb": ingests[-1].growth_mb,
        "differences": len(differences),
        "samples": [asdict(sample) for sample in searches + ingests],
    }
    print(json.dumps(result))


def main() -> None:
    limit_arenas()  # as the server does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=10_000)
    parser.add_argument("--ingests", type=int, default=1_000)
    parser.add_argument("--passages", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
