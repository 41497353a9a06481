"""One question to several vector stores, against the same question to one: Retriever.search, in process.

    python -m benchmarks.stores [--stores 8] [--passages 20] [--repeats 200]

The stores are tiny, made of random sentences, and made anew in a temporary folder; embedder, analyser, indexes and
rerank stages are the real ones of the embedded profile. Query vectors are remembered after the warm-up, so what is
timed is everything after the embedding. The stages' times are the pipeline's own. Last line: JSON.
"""

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.harness import Effort, Spread, alternated, options, report
from models.embedders.e5 import E5Embedder
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.search import Retriever
from retrieval.store.store import Store
from retrieval.types import SearchParams

OWNER = "bench"
WORDS = "refund order parcel invoice account password delivery coupon garden recipe oven river library lecture exam"


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds. stages: p50 of each, the pipeline's own."""

    stores: int
    candidates: int
    search: float
    p95: float
    stages: Mapping[str, float] = field(default_factory=dict)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Store, Ingestor, Retriever]]:
    embedder, tokenizer, store = E5Embedder.load(), Tokenizer.load(), Store.open(folder)
    manager = IndexManager(store.changes, store.passages, folder, embedder.dim, embedder.name)
    ingestor = Ingestor(store, manager, embedder, tokenizer)
    await ingestor.start()
    try:
        yield store, ingestor, Retriever(store, manager, embedder, tokenizer)
    finally:
        await ingestor.aclose()
        manager.close()
        store.close()
        embedder.close()


def sentence(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS.split(), k=12))


async def filled(store: Store, ingestor: Ingestor, passages: int, chance: random.Random) -> str:
    """A new vector store of so many passages."""
    store_id = store.vector_stores.create(OWNER, "tiny").id
    rows = "\n".join(json.dumps({"text": sentence(chance)}) for _ in range(passages)).encode()
    file = store.files.add(OWNER, "rows.jsonl", rows, "application/jsonl")
    await ingestor.submit(OWNER, store_id, file.id)
    assert (await ingestor.wait(OWNER, store_id, file.id)).status == "completed"
    return store_id


def measured(
    loop: asyncio.Runner,
    store: Store,
    retriever: Retriever,
    stores: list[str],
    queries: list[str],
    effort: Effort,
) -> list[Row]:
    """Every repeat is one query, asked of one store and of all, which are resolved first."""
    told: dict[int, list[Mapping[str, float]]] = {1: [], len(stores): []}
    counts: dict[int, int] = {}

    def ask(count: int) -> None:
        query = queries[len(told[count]) % len(queries)]
        named = [store.vector_stores.resolve(OWNER, each) for each in stores[:count]]
        found = loop.run(retriever.search(OWNER, named, query, SearchParams(min_score=0)))
        told[count].append(found.seconds)
        counts[count] = len(found.candidates)

    took = alternated({str(count): lambda count=count: ask(count) for count in told}, effort)
    rows = []
    for count, seconds in told.items():
        spread, kept = Spread.of(took[str(count)]), seconds[effort.warm_up :]
        stages = {name: round(median(each.get(name, 0.0) for each in kept) * 1000, 2) for name in kept[0]}
        rows.append(Row(count, counts[count], spread.p50, spread.p95, stages))
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--stores", type=int, default=8)
    parser.add_argument("--passages", type=int, default=20, help="of each store")
    parser.add_argument("--repeats", type=int, default=200)
    given: argparse.Namespace = parser.parse_args()
    repeats = 5 if given.small else given.repeats
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as loop:
        bench = opened(Path(folder))
        store, ingestor, retriever = loop.run(bench.__aenter__())
        try:
            stores = [loop.run(filled(store, ingestor, given.passages, chance)) for _ in range(given.stores)]
            queries = [sentence(chance) for _ in range(20)]
            rows = measured(loop, store, retriever, stores, queries, Effort(repeats, warm_up=len(queries)))
        finally:
            loop.run(bench.__aexit__(None, None, None))
    report("stores", given, rows)


if __name__ == "__main__":
    main()
