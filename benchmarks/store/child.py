"""One checkout's store, asked by benchmarks.store in lines of JSON: the code of before and of now are asked the same.

Run by itself, with the checkout as PYTHONPATH: what is imported below is that checkout's. A line is [call, arguments],
its answer a line of what the call returned. Which API there is is told by `Store.open`.
"""

import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.base import Embedding, IntArray
from models.rerankers.late_interaction import encode
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.worker import Ingestor
from retrieval.passages.identity import identify
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.search import Retriever
from retrieval.store.store import Store
from retrieval.types import NewChunk, ParsedDocument, SearchParams, Span

OWNER, DIM, NAME = "bench", 384, "large"
TOKENS = 60  # of a passage: 12 kB of token codes
BATCH, CUT = 64, 128  # passages saved, documents of one passage added together, as by the ingestor
WORDS = "refund order parcel invoice account password delivery coupon garden recipe oven river library lecture exam"


class FakeEmbedder:
    """Costs nothing to speak of: what is left of an ingest is the analyser, the indexes and the store."""

    name, dim, max_tokens, lexical = "fake", DIM, 512, False

    def __init__(self) -> None:
        self._chance = np.random.default_rng(0)

    async def embed_documents(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        dense = self._chance.standard_normal((len(texts), DIM), dtype=np.float32)
        dense /= np.linalg.norm(dense, axis=1, keepdims=True)
        return Embedding(dense, tokens=[np.tile(row, (8, 1)) for row in dense] if tokens else None)

    embed_queries = embed_documents

    def token_spans(self, text: str) -> IntArray:
        return np.array([match.span() for match in re.finditer(r"\S+", text)], np.int32).reshape(-1, 2)

    def text_of(self, ids: Sequence[int]) -> str:
        raise ValueError(ids)

    def close(self) -> None:
        pass


class Now:
    """Each part of the store under its own name."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.store: Any = Store.open(folder, url=url)
        self.vector_stores, self.versions, self.publishing = (
            self.store.vector_stores,
            self.store.versions,
            self.store.publishing,
        )
        self.manager: Any = IndexManager(self.store.changes, self.store.passages, folder, DIM, "fake")

    def create(self, name: str) -> str:
        return str(self.vector_stores.create(OWNER, name).id)

    def add(self, filename: str, content: bytes) -> str:
        return str(self.store.files.add(OWNER, filename, content).id)

    def attempt(self, store_id: str, file_id: str) -> Any:
        self.store.attachments.attach(OWNER, store_id, file_id)
        return self.store.queue.claim("bench", 3600).attempt

    def keys(self, store_id: str) -> list[int]:
        found: list[int] = self.store.passages.visible_keys(store_id)[0]
        return found

    def loader(self, store_id: str) -> Any:
        """keys -> passages, of a vector store that a search has resolved."""
        named = self.vector_stores.resolve(OWNER, store_id)
        return lambda keys: self.store.passages.load(OWNER, named, keys)

    def fill(self, store_id: str, file_id: str, files: int) -> None:
        """Rows as attaching leaves them, nothing behind them."""
        with self.store.database.write() as db:
            db.exec_driver_sql(_fill_sql(store_id, file_id, files))
            if not self.store.database.is_sqlite:
                db.exec_driver_sql("ANALYZE")

    def named(self, store_id: str) -> Any:
        """What a search is told."""
        return self.vector_stores.resolve(OWNER, store_id)


class Before(Now):
    """Commit cf3180e: all of it one object, and a vector store known by its id."""

    def __init__(self, folder: Path, url: str | None) -> None:
        untyped: Any = Store
        self.store = self.vector_stores = self.versions = self.publishing = untyped(folder)
        self.manager = IndexManager(self.store, folder, DIM, "fake")  # type: ignore[arg-type]

    def create(self, name: str) -> str:
        return str(self.store.create_store(OWNER, name).id)

    def add(self, filename: str, content: bytes) -> str:
        return str(self.store.add_file(OWNER, filename, content).id)

    def attempt(self, store_id: str, file_id: str) -> Any:
        return self.store.take_up(self.store.attach(OWNER, store_id, file_id).version).attempt

    def keys(self, store_id: str) -> list[int]:
        found: list[int] = self.store.visible_keys(store_id)[0]
        return found

    def loader(self, store_id: str) -> Any:
        return lambda keys: self.store.load_passages(OWNER, store_id, keys)

    def fill(self, store_id: str, file_id: str, files: int) -> None:
        with self.store.write() as db:
            db.execute(_fill_sql(store_id, file_id, files))

    def named(self, store_id: str) -> Any:
        return self.store.resolve(OWNER, store_id).id


def _fill_sql(store_id: str, file_id: str, files: int) -> str:
    return f"""
INSERT INTO store_files (store, file, filename, sha256, status, stage, visible, attributes, created_at, usage_bytes,
    documents, chunks, embedded)
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {files})
SELECT (SELECT n FROM vector_stores WHERE id = '{store_id}'), (SELECT n FROM files WHERE id = '{file_id}'),
    i || '.txt', 'none', 'completed', 'indexed', 1, '{{}}', 0, 9000, 1, 5, 5
FROM numbers
"""


class Child:
    """What may be asked. Seconds; wall and cpu are lists of equal length, cpu of the calling thread alone."""

    def __init__(self, calls: Now, seed: int) -> None:
        self._calls = calls
        self._chance = random.Random(seed)
        self._tokenizer = Tokenizer.load()
        self._loop = asyncio.Runner()
        self._count = 0
        self._published = calls.create("published")

    def fill(self, files: int) -> None:
        """A vector store of so many files, among 19 empty ones."""
        for name in (f"large {files}", *(f"empty {files} {i}" for i in range(19))):
            store_id = self._calls.create(name)
            if name.startswith("large"):
                self._calls.fill(store_id, self._calls.add(f"{name}.txt", b"x"), files)

    def resolve(self, files: int, times: int) -> dict[str, list[float]]:
        resolve = self._calls.vector_stores.resolve
        return _timed([lambda: resolve(OWNER, f"large {files}")] * times)

    def load(self, count: int, times: int) -> dict[str, list[float]]:
        keys, load = self._calls.keys(self._published), self._calls.loader(self._published)
        wanted = [self._chance.sample(keys, min(count, len(keys))) for _ in range(times)]
        return _timed([lambda each=each: load(each) for each in wanted])

    def publish(self, rows: int) -> dict[str, list[float]]:
        """The store's own share of an ingest, each step once: a file of so many passages."""
        calls, texts = self._calls, [self._sentence() for _ in range(rows)]
        vectors = np.random.default_rng(0).standard_normal((rows, DIM), dtype=np.float32)
        code = encode(np.random.default_rng(1).standard_normal((TOKENS, DIM), dtype=np.float32))
        attempt = calls.attempt(self._published, calls.add(self._name(), "\n".join(texts).encode()))
        cut = [
            (each, [NewChunk(Span(0, len(each.parsed.text)), each.parsed.text, each.parsed.text.lower().split())])
            for each in identify(self._published, "f", [ParsedDocument(text, attributes={"n": 1}) for text in texts])
        ]
        keys: list[int] = []

        def add() -> None:
            for first in range(0, rows, CUT):
                calls.versions.add_documents(attempt, cut[first : first + CUT])

        def save() -> None:
            for first in range(0, rows, BATCH):
                part = keys[first : first + BATCH]
                calls.versions.pending_texts(attempt, part)
                calls.versions.save_vectors(attempt, part, vectors[first : first + BATCH], [code] * len(part))

        steps = {
            "claim": lambda: calls.versions.claim_embedder(attempt, "fake", DIM),
            "add": add,
            "finish": lambda: calls.versions.finish_chunking(attempt, rows),
            "pending": lambda: keys.extend(calls.versions.pending_keys(attempt)),
            "save": save,
            "publish": lambda: calls.publishing.publish(attempt),
            "complete": lambda: calls.publishing.complete([attempt.version]),
        }
        return {name: [part[0] for part in _timed([step]).values()] for name, step in steps.items()}

    def ingest(self, rows: int) -> dict[str, float]:
        """A file of so many rows, through the ingestor and into real indexes; cpu of the whole process."""
        lines = "\n".join(json.dumps({"text": self._sentence(), "category": "x"}) for _ in range(rows))
        since, spent = time.perf_counter(), time.process_time()
        self._loop.run(self._ingested(lines.encode()))
        return {"wall": time.perf_counter() - since, "cpu": time.process_time() - spent}

    async def _ingested(self, content: bytes) -> None:
        calls, embedder = self._calls, FakeEmbedder()
        store_id, file_id = calls.create(self._name()), calls.add(f"{self._name()}.jsonl", content)
        ingestor = Ingestor(calls.store, calls.manager, embedder, self._tokenizer)
        await ingestor.start()
        await ingestor.submit(OWNER, store_id, file_id)
        done = await ingestor.wait(OWNER, store_id, file_id)
        assert done.status == "completed", done
        await ingestor.aclose()

    def search(self, times: int) -> dict[str, list[float]]:
        """Resolved and searched; every question is new, its vectors cost nothing. cpu of the whole process."""
        calls = self._calls
        retriever: Any = Retriever(calls.store, calls.manager, FakeEmbedder(), self._tokenizer)
        told: dict[str, list[float]] = {"wall": [], "cpu": [], "load": []}
        calls.manager.refresh(self._published)
        for _ in range(times):
            question = " ".join(self._chance.choices(WORDS.split(), k=6))
            since, spent = time.perf_counter(), time.process_time()
            stores = [calls.named(self._published)]
            found = self._loop.run(retriever.search(OWNER, stores, question, SearchParams(min_score=0)))
            told["cpu"].append(time.process_time() - spent)
            told["wall"].append(time.perf_counter() - since)
            told["load"].append(found.seconds["load"])
        return told

    def _name(self) -> str:
        self._count += 1
        return f"file {self._count}"

    def _sentence(self) -> str:
        return " ".join(self._chance.choices(WORDS.split(), k=50)) + f" {self._chance.randrange(10**9)}"

    def close(self) -> None:
        self._loop.close()
        self._calls.manager.close()
        self._calls.store.close()


def _timed(calls: Sequence[Any]) -> dict[str, list[float]]:
    wall, cpu = [], []
    for call in calls:
        since, spent = time.perf_counter(), time.thread_time()
        call()
        cpu.append(time.thread_time() - spent)
        wall.append(time.perf_counter() - since)
    return {"wall": wall, "cpu": cpu}


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    url = sys.argv[3] if len(sys.argv) > 3 else None
    child = Child((Now if hasattr(Store, "open") else Before)(folder, url), seed)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        print(json.dumps(getattr(child, name)(*arguments)), flush=True)
    child.close()


if __name__ == "__main__":
    main()
