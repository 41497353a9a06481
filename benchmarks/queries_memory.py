"""Memory under questions that are all different and long: what is remembered of them, and is it bounded?

    python -m benchmarks.queries_memory [--queries 10000] [--words 400] [--passages 200] [--real]

As benchmarks.memory, but every question has `--words` words of its own, twelve characters each, and is asked once: no
cache ever answers. The embedder is made up and gives as many token vectors as E5 does at most, so that what is kept of
a question is as large; E5 itself (--real) takes .2 s and more for so many tokens. The first tenth warms up: caches
fill. statements: in SQLAlchemy's cache at the end, where one whose text depends on the question would show. Last line:
JSON.
"""

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harness import options, report
from benchmarks.memory import OWNER, Bench, Sample, watch
from benchmarks.store.child import DIM, FakeEmbedder
from models.base import Embedding
from retrieval.types import SearchParams
from server.app.allocator import limit_arenas


class LongEmbedder(FakeEmbedder):
    """Every query has 500 tokens."""

    async def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        given = await self.embed_documents(texts)
        return replace(given, tokens=[self._chance.random((500, DIM), dtype=np.float32) for _ in texts])


class Asking:
    """Every question is of random letters, with a word of the passages in front."""

    def __init__(self, bench: Bench, words: int, seed: int) -> None:
        self._bench = bench
        self._words = words
        self._chance = random.Random(seed)

    def question(self) -> str:
        made_up = (f"{self._chance.getrandbits(48):012x}" for _ in range(self._words))
        return f"{self._bench.sentence(3)} {' '.join(made_up)}"

    async def ask(self, number: int) -> None:
        named = self._bench.store.vector_stores.resolve(OWNER, self._bench.vs)
        await self._bench.retriever.search(OWNER, [named], self.question(), SearchParams())


async def run(given: argparse.Namespace) -> tuple[list[Sample], int]:
    with tempfile.TemporaryDirectory(prefix="ragpod-queries-") as folder:
        bench = Bench(Path(folder), given.seed, None if given.real else LongEmbedder())
        await bench.ingestor.start()
        rows = [json.dumps({"_id": str(i), "text": bench.sentence(40)}) for i in range(given.passages)]
        await bench.ingest("base.jsonl", "\n".join(rows))
        asking = Asking(bench, given.words, given.seed)
        warm = given.queries // 10
        samples = await watch("queries", asking.ask, warm, given.queries - warm)
        statements = len(bench.store.database._engine._compiled_cache or ())
        await bench.close()
    return samples, statements


def main() -> None:
    limit_arenas()  # as the server does
    parser = options(__doc__)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--words", type=int, default=400)
    parser.add_argument("--passages", type=int, default=200)
    parser.add_argument("--real", action="store_true", help="E5 instead of the made-up embedder")
    given: argparse.Namespace = parser.parse_args()
    if given.small:
        given.queries, given.words = 50, 200
    samples, statements = asyncio.run(run(given))
    report("queries_memory", given, samples, statements=statements)


if __name__ == "__main__":
    main()
