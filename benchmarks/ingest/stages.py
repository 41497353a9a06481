"""Throughput of an ingest, each of its stages apart, and what share of the embedder's own limit the whole reaches.

    python -m benchmarks.ingest.stages ../shared/data/docs/ok [--most-kb 400] [--rounds 2]

Every file of the folders goes through the real ingest, in a new data folder each round: store (SQLite), parsers in
children, analyser, embedder and indexes of the embedded profile. Apart from it, before and after: the same files parsed
one after the other by a warm child, and the embedder's same calls with the same texts one after the other, with nothing
beside them. Chunking, tokenising, store and indexes are CPU seconds of their calls during the ingest. limit_share: the
embedder's seconds of those of the whole, by wall, and by CPU of the process and its children, which tells the same on a
busy machine. Files that fail are not counted; pages are those of PDFs.
"""

import asyncio
import os
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import note, options, report
from models.base import Embedding
from models.embedders.e5 import E5Embedder
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.steps import Steps
from retrieval.ingest.worker import Ingestor
from retrieval.parsing import ParseError
from retrieval.passages.tokenize import Tokenizer
from retrieval.sandbox.pool import Pool
from retrieval.store.store import Store

OWNER = "bench"


@dataclass(frozen=True, slots=True)
class Row:
    """seconds: of all rounds, wall or CPU as `of` says; the rest are rates in those seconds."""

    stage: str
    of: str
    seconds: float
    documents_per_s: float
    pages_per_s: float
    mb_per_s: float
    passages_per_s: float


@dataclass(slots=True)
class Work:
    """What all rounds did."""

    documents: int = 0
    pages: int = 0
    mb: float = 0.0
    passages: int = 0


class Clocks:
    """CPU seconds of the threads in wrapped calls, by stage."""

    def __init__(self) -> None:
        self._spent: list[tuple[str, float]] = []  # appended to by several threads

    def wrap(self, thing: Any, name: str, stage: str) -> None:
        call: Callable[..., Any] = getattr(thing, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                self._spent.append((stage, time.thread_time() - began))

        setattr(thing, name, timed)

    def seconds(self) -> dict[str, float]:
        sums: dict[str, float] = defaultdict(float)
        for stage, seconds in self._spent:
            sums[stage] += seconds
        return sums


class Recording:
    """The embedder, and the calls that it got."""

    def __init__(self, embedder: E5Embedder) -> None:
        self.name, self.dim, self.lexical = embedder.name, embedder.dim, embedder.lexical
        self.max_tokens, self.token_spans, self.text_of = embedder.max_tokens, embedder.token_spans, embedder.text_of
        self.embed_queries, self.close = embedder.embed_queries, embedder.close
        self._embedder = embedder
        self.calls: list[Sequence[str]] = []

    async def embed_documents(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        self.calls.append(list(texts))
        return await self._embedder.embed_documents(texts, tokens=tokens)

    async def again(self) -> float:
        """Seconds of all calls, one after the other, which are forgotten then."""
        began = time.perf_counter()
        for texts in self.calls:
            await self._embedder.embed_documents(texts, tokens=True)
        self.calls.clear()
        return time.perf_counter() - began


def main() -> None:
    arguments = options(__doc__)
    arguments.add_argument("folders", nargs="+")
    arguments.add_argument("--most-kb", type=int, default=10_000, help="larger files are left out")
    arguments.add_argument("--rounds", type=int, default=1)
    given = arguments.parse_args()
    files = [file for folder in given.folders for file in sorted(Path(folder).iterdir()) if file.is_file()]
    files = [file for file in files if file.stat().st_size <= given.most_kb << 10]
    rows, shares = asyncio.run(measured(files, given.rounds))
    print(shares)
    report("ingest.stages", given, rows, limit_share=shares)


async def measured(files: Sequence[Path], rounds: int) -> tuple[list[Row], dict[str, float]]:
    embedder, tokenizer, clocks, work = Recording(E5Embedder.load()), Tokenizer.load(), Clocks(), Work()
    tokenizer.terms("loads its 사전 now")
    clocks.wrap(tokenizer, "terms", "tokenising")
    seconds: dict[str, float] = defaultdict(float)
    for _ in range(rounds):
        seconds["parsing"] += await _parsed(files, work)
        began = _cpu()
        with tempfile.TemporaryDirectory() as folder:
            seconds["whole"] += await _ingested(Path(folder), files, embedder, tokenizer, clocks, work)
        seconds["whole, CPU"] += _cpu() - began
        began = _cpu()
        seconds["embedding"] += await embedder.again()
        seconds["embedding, CPU"] += _cpu() - began
        note(dict(seconds) | {"load": os.getloadavg()[0]})
    embedder.close()
    spent = clocks.seconds()
    spent["chunking"] -= spent["tokenising"]  # inside it
    stages = [("parsing", "wall, alone", seconds["parsing"])]
    stages += [(stage, "CPU", spent[stage]) for stage in ("chunking", "tokenising")]
    stages += [("embedding", "wall, alone", seconds["embedding"])]
    stages += [(stage, "CPU", spent[stage]) for stage in ("storing", "indexing")]
    stages += [("embedding", "CPU, alone", seconds["embedding, CPU"])]
    stages += [("whole ingest", "CPU", seconds["whole, CPU"]), ("whole ingest", "wall", seconds["whole"])]
    shares = {"wall": seconds["embedding"] / seconds["whole"]}
    shares["CPU"] = seconds["embedding, CPU"] / seconds["whole, CPU"]
    return [_row(*stage, work) for stage in stages], {name: round(share, 3) for name, share in shares.items()}


def _cpu() -> float:
    """Seconds of this process and of its children that have ended."""
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _row(stage: str, of: str, seconds: float, work: Work) -> Row:
    rates = (round(done / seconds, 2) for done in (work.documents, work.pages, work.mb, work.passages))
    return Row(stage, of, round(seconds, 2), *rates)


async def _parsed(files: Sequence[Path], work: Work) -> float:
    pool = Pool(1)
    await pool.parse(b"warm", "warm.txt")
    seconds = 0.0
    for file in files:
        content, began = await asyncio.to_thread(file.read_bytes), time.perf_counter()
        try:
            documents = await pool.parse(content, file.name)
        except ParseError:
            continue
        seconds += time.perf_counter() - began
        work.documents += len(documents)
        work.mb += len(content) / 1e6
        work.pages += len(
            {(number, each.page) for number, one in enumerate(documents) for each in one.regions} - {None}
        )
    await pool.aclose()
    return seconds


async def _ingested(
    folder: Path, files: Sequence[Path], embedder: Recording, tokenizer: Tokenizer, clocks: Clocks, work: Work
) -> float:
    store = Store.open(folder)
    manager = IndexManager(store.changes, store.passages, folder, embedder.dim, embedder.name)
    for name in ("add_documents", "keep_documents", "save_vectors", "finish_chunking", "pending_texts"):
        clocks.wrap(store.versions, name, "storing")
    clocks.wrap(store.publishing, "publish", "storing")
    clocks.wrap(manager, "refresh", "indexing")
    ingestor = Ingestor(store, manager, embedder, tokenizer, parser=Pool(2))
    clocks.wrap(_steps(ingestor), "_chunks", "chunking")
    store_id = store.vector_stores.create(OWNER, "all").id
    added = [store.files.add(OWNER, file.name, file.read_bytes()).id for file in files]
    began = time.perf_counter()
    await ingestor.start()
    for file_id in added:
        await ingestor.submit(OWNER, store_id, file_id)
    for file_id in added:
        work.passages += (await ingestor.wait(OWNER, store_id, file_id)).chunks
    seconds = time.perf_counter() - began
    await ingestor.aclose()
    manager.close()
    store.close()
    return seconds


def _steps(ingestor: Ingestor) -> Steps:
    return ingestor._steps


if __name__ == "__main__":
    main()
