"""Search while hostile files are parsed: its p50 and p99 beside an idle ingest, with children and in the server itself.

    python -m benchmarks.parsing [--searches 200] [--passages 500]

A file is 60,000 nested divs or 2 MB of Markdown that is all headings: the parsers are busy all the time, nothing is
published. Embedder, indexes and rerank stages are those of the embedded profile; every search is of another question.
First what a child costs: its start, wall and CPU. Last line: JSON.
"""

import argparse
import asyncio
import json
import random
import resource
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.stores import OWNER, filled, opened, sentence
from retrieval.parsing import ParseError
from retrieval.ranking.search import Retriever
from retrieval.sandbox.in_threads import InThreads
from retrieval.sandbox.pool import Confinement, Parser, Pool
from retrieval.store.base.values import NamedStore
from retrieval.types import SearchParams

_HOSTILE = (("deep.html", b"<div>" * 60_000 + b"x"), ("deep.md", b"# a b c d\n\n" * 180_000))
_AT_ONCE = 2


async def start_cost() -> dict[str, float]:
    """Of a child, from nothing to its first document."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    pool = Pool(1)
    await pool.parse(b"text", "a.txt")
    wall, began = time.perf_counter() - began, time.perf_counter()
    for _ in range(50):
        await pool.parse(b"text", "a.txt")
    each = (time.perf_counter() - began) / 50
    await pool.aclose()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"start_ms": 1000 * wall, "start_cpu_ms": 1000 * cpu, "small_file_ms": 1000 * each}


async def searched(retriever: Retriever, store: NamedStore, count: int, chance: random.Random) -> dict[str, float]:
    taken = []
    for _ in range(count):
        question, began = sentence(chance), time.perf_counter()
        await retriever.search(OWNER, [store], question, SearchParams(min_score=0))
        taken.append(1000 * (time.perf_counter() - began))
    taken.sort()
    return {"p50_ms": taken[len(taken) // 2], "p99_ms": taken[int(len(taken) * 0.99)], "most_ms": taken[-1]}


async def beside(parser: Parser, retriever: Retriever, store: NamedStore, count: int) -> dict[str, float]:
    """Searches while the parser has always _AT_ONCE hostile files."""
    parsed = 0

    async def feed(number: int) -> None:
        nonlocal parsed
        while True:
            name, content = _HOSTILE[number % len(_HOSTILE)]
            with suppress(ParseError):
                await parser.parse(content, name)
            parsed += 1

    feeding = [asyncio.create_task(feed(number)) for number in range(_AT_ONCE)]
    await asyncio.sleep(1.0)
    found = await searched(retriever, store, count, random.Random(2))
    for task in feeding:
        task.cancel()
    await asyncio.gather(*feeding, return_exceptions=True)
    await parser.aclose()
    return {**found, "files": parsed}


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--searches", type=int, default=200)
    options.add_argument("--passages", type=int, default=500)
    given = options.parse_args()
    results: dict[str, dict[str, float]] = {"child": await start_cost()}
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as (store, ingestor, retriever):
            chance = random.Random(1)
            vs = store.vector_stores.resolve(OWNER, await filled(store, ingestor, given.passages, chance))
            await searched(retriever, vs, 20, chance)
            results["idle"] = await searched(retriever, vs, given.searches, random.Random(2))
            results["children"] = await beside(Pool(_AT_ONCE, Confinement()), retriever, vs, given.searches)
            results["in the server"] = await beside(InThreads(), retriever, vs, given.searches)
            results["idle again"] = await searched(retriever, vs, given.searches, random.Random(2))
    for name, found in results.items():
        print(f"{name:14}", "  ".join(f"{what} {value:.1f}" for what, value in found.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    asyncio.run(main())
