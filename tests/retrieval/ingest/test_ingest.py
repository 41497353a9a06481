import asyncio
import random
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from models.base import Embedding, IntArray
from models.embedders.e5 import E5Embedder
from models.errors import Unavailable
from retrieval.indexes.bm25 import Bm25Index
from retrieval.indexes.dense.index import DenseIndex
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.base.values import NotFound, StoreFile
from retrieval.store.store import Store
from tests.retrieval.ingest.ingest_child import FILES
from tests.retrieval.publishing import texts
from tests.retrieval.watching import before
from tests.until import PATIENCE, until

OWNER = "ann"


@pytest.fixture(scope="module")
def e5() -> Iterator[E5Embedder]:
    loaded = E5Embedder.load()
    yield loaded
    loaded.close()


class WatchedEmbedder:
    """The real embedder; counts what it embeds, waits at `gate`, and is down for the calls in `down`."""

    def __init__(self, e5: E5Embedder, down: Sequence[int] = ()) -> None:
        self.name, self.dim, self.max_tokens, self.lexical = e5.name, e5.dim, e5.max_tokens, e5.lexical
        self.embedded: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()
        self._e5, self._down, self._calls = e5, down, 0

    async def embed_queries(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        return await self._e5.embed_queries(texts, tokens=tokens)

    async def embed_documents(self, texts: Sequence[str], *, tokens: bool = False) -> Embedding:
        self.waiting.set()
        await self.gate.wait()
        self._calls += 1
        if self._calls in self._down:
            raise Unavailable("down for a moment")
        embedding = await self._e5.embed_documents(texts, tokens=tokens)
        self.embedded += texts
        return embedding

    def token_spans(self, text: str) -> IntArray:
        return self._e5.token_spans(text)


class OffLoop:
    """A database that fails when it is called from an event loop's thread."""

    def __init__(self, database: Any) -> None:
        for name in ("write", "read", "one"):
            before(database, name, self._check)

    def _check(self, *_: object) -> None:
        assert not loop_runs_here()


def loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return threading.current_thread() is threading.main_thread()


class Bench:
    """A store, its manager and a vector store; ingestors come and go."""

    def __init__(self, data_dir: Path) -> None:
        self.store = Store.open(data_dir)
        self.manager = IndexManager(self.store.changes, self.store.passages, data_dir, 384)
        self.vs = self.store.vector_stores.create(OWNER, "handbook").id
        OffLoop(self.store.database)

    @asynccontextmanager
    async def ingestor(self, embedder: WatchedEmbedder) -> AsyncIterator[Ingestor]:
        running = Ingestor(self.store, self.manager, embedder, Tokenizer.load())
        await running.start()
        yield running
        await running.aclose()

    async def submit(self, ingestor: Ingestor, name: str, content: str | bytes) -> StoreFile:
        data = content.encode() if isinstance(content, str) else content
        file = await asyncio.to_thread(self.store.files.add, OWNER, name, data)
        return await ingestor.submit(OWNER, self.vs, file.id)

    async def ingest(self, ingestor: Ingestor, name: str, content: str | bytes) -> StoreFile:
        return await ingestor.wait(OWNER, self.vs, (await self.submit(ingestor, name, content)).file_id)

    async def is_idle(self) -> bool:
        return await asyncio.to_thread(self.store.queue.unfinished) == 0

    async def texts(self) -> list[str]:
        return sorted(await asyncio.to_thread(texts, self.store, self.vs))

    async def is_level(self) -> bool:
        return not await asyncio.to_thread(self.manager.check)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.manager.close()
    made.store.close()


def jsonl(*rows: str) -> str:
    return "\n".join(f'{{"_id": "{row.split()[0]}", "text": "{row}", "lang": "en"}}' for row in rows)


async def test_a_file_goes_through_and_is_found(bench: Bench, e5: E5Embedder) -> None:
    async with bench.ingestor(WatchedEmbedder(e5)) as ingestor:
        done = await bench.ingest(ingestor, "guide.md", "# Refunds\n\nA refund takes three days.")
        assert (done.status, done.stage, done.visible) == ("completed", "indexed", True)
        assert (done.chunks, done.embedded, done.documents) == (1, 1, 1)
        hits = await asyncio.to_thread(lambda: bench.manager.indexes(bench.vs)[Bm25Index].search(["refund"], 5))
        named = await asyncio.to_thread(bench.store.vector_stores.resolve, OWNER, bench.vs)
        passages = await asyncio.to_thread(bench.store.passages.load, OWNER, named, [hit.key for hit in hits])
        (passage,) = passages.values()
        assert "three days" in passage.chunk.text
        assert passage.token_code
        query = (await e5.embed_queries(["How long does a refund take?"])).dense[0]
        dense = (await asyncio.to_thread(bench.manager.indexes, bench.vs))[DenseIndex]
        assert [hit.key for hit in dense.search(query, 5)] == list(passages)
        assert await bench.is_level()


async def test_a_file_that_fails_says_why_and_stops_no_other(bench: Bench, e5: E5Embedder) -> None:
    async with bench.ingestor(WatchedEmbedder(e5)) as ingestor:
        bad = await bench.submit(ingestor, "broken.jsonl", "{not json")
        odd = await bench.submit(ingestor, "photo.xyz", b"\x00\x01\xff")
        good = await bench.ingest(ingestor, "good.txt", "all is well")
        assert good.status == "completed"
        for submitted in (bad, odd):
            failed = await ingestor.wait(OWNER, bench.vs, submitted.file_id)
            assert failed.status == "failed"
            assert failed.error
            assert failed.error.code in ("invalid_file", "unsupported_file")
            assert failed.error.message
        assert await bench.texts() == ["all is well"]


async def test_two_clients_with_one_file_at_one_instant_make_one_copy(bench: Bench, e5: E5Embedder) -> None:
    embedder = WatchedEmbedder(e5)
    async with bench.ingestor(embedder) as ingestor:
        both = [bench.ingest(ingestor, "same.txt", "one and the same") for _ in range(4)]
        done = await asyncio.gather(*both)
        assert len({each.version for each in done}) == 1
        assert (await bench.ingest(ingestor, "same.txt", "one and the same")).version == done[0].version
        assert await bench.texts() == ["one and the same"]
        assert len(embedder.embedded) == 1
        assert await bench.is_level()


async def test_the_old_version_is_found_until_the_new_one_is_embedded(bench: Bench, e5: E5Embedder) -> None:
    embedder = WatchedEmbedder(e5)
    async with bench.ingestor(embedder) as ingestor:
        await bench.ingest(ingestor, "page.txt", "the old text")
        embedder.waiting.clear()
        embedder.gate.clear()
        new = await bench.submit(ingestor, "page.txt", "the new text")
        await embedder.waiting.wait()
        assert await bench.texts() == ["the old text"]
        progress = await asyncio.to_thread(bench.store.attachments.get, OWNER, bench.vs, new.file_id)
        assert (progress.stage, progress.embedded, progress.chunks) == ("chunked", 0, 1)
        embedder.gate.set()
        assert (await ingestor.wait(OWNER, bench.vs, new.file_id)).status == "completed"
        assert await bench.texts() == ["the new text"]
        assert await bench.is_level()


async def test_rows_that_did_not_change_are_not_embedded_again(bench: Bench, e5: E5Embedder) -> None:
    embedder = WatchedEmbedder(e5)
    async with bench.ingestor(embedder) as ingestor:
        await bench.ingest(ingestor, "faq.jsonl", jsonl("a one", "b two", "c three"))
        embedder.embedded.clear()
        done = await bench.ingest(ingestor, "faq.jsonl", jsonl("c three", "a one", "b changed", "d four"))
        assert sorted(text.split()[-1] for text in embedder.embedded) == ["changed", "four"]
        assert (done.documents, done.chunks, done.embedded) == (4, 4, 4)
        assert await bench.texts() == ["a one", "b changed", "c three", "d four"]
        assert await bench.is_level()


async def test_an_embedder_that_is_down_is_waited_for_and_nothing_is_embedded_twice(
    bench: Bench, e5: E5Embedder
) -> None:
    embedder = WatchedEmbedder(e5, down=[2, 3])
    async with bench.ingestor(embedder) as ingestor:
        rows = [f"r{i} row number {i}" for i in range(100)]
        done = await bench.ingest(ingestor, "table.jsonl", jsonl(*rows))
        assert done.status == "completed"
        assert len(embedder.embedded) == len(set(embedder.embedded)) == 100


async def test_closing_leaves_the_rest_for_the_next_start(bench: Bench, e5: E5Embedder) -> None:
    stuck = WatchedEmbedder(e5)
    stuck.gate.clear()
    async with bench.ingestor(stuck) as ingestor:
        one = await bench.submit(ingestor, "one.txt", "first of two")
        await bench.submit(ingestor, "two.txt", "second of two")
        await stuck.waiting.wait()
    assert await bench.texts() == []
    async with bench.ingestor(WatchedEmbedder(e5)) as ingestor:
        assert ingestor.unfinished == 2
        assert (await ingestor.wait(OWNER, bench.vs, one.file_id)).status == "completed"
        await bench.ingest(ingestor, "two.txt", "second of two")
        assert await bench.texts() == ["first of two", "second of two"]


@pytest.mark.parametrize("how", ["detach", "delete_file", "cancel", "delete_store"])
async def test_what_is_taken_away_meanwhile_is_dropped(bench: Bench, e5: E5Embedder, how: str) -> None:
    embedder = WatchedEmbedder(e5)
    embedder.gate.clear()
    async with bench.ingestor(embedder) as ingestor:
        file = await bench.submit(ingestor, "gone.txt", "soon gone")
        await embedder.waiting.wait()
        waiter = asyncio.create_task(ingestor.wait(OWNER, bench.vs, file.file_id))
        await asyncio.sleep(0)
        if how == "delete_file":
            await asyncio.to_thread(bench.store.files.delete, OWNER, file.file_id)
        elif how == "delete_store":
            await asyncio.to_thread(bench.store.vector_stores.delete, OWNER, bench.vs)
        else:
            await asyncio.to_thread(getattr(bench.store.attachments, how), OWNER, bench.vs, file.file_id)
        embedder.gate.set()
        if how == "cancel":
            assert (await waiter).status == "cancelled"
            assert (await bench.ingest(ingestor, "gone.txt", "soon gone")).status == "completed"
        else:
            with pytest.raises(NotFound):
                await waiter
        await until(bench.is_idle, PATIENCE)
        assert await bench.is_level()


async def test_deleted_and_ingested_again_is_found_again(bench: Bench, e5: E5Embedder) -> None:
    async with bench.ingestor(WatchedEmbedder(e5)) as ingestor:
        for _ in range(3):
            file = await bench.ingest(ingestor, "a.txt", "here again")
            assert await bench.texts() == ["here again"]
            await asyncio.to_thread(bench.store.files.delete, OWNER, file.file_id)
            assert await bench.texts() == []
        assert await bench.is_level()


async def test_a_store_of_another_model_fails_with_a_clear_error(bench: Bench, e5: E5Embedder) -> None:
    async with bench.ingestor(WatchedEmbedder(e5)) as ingestor:
        await bench.ingest(ingestor, "a.txt", "embedded by one model")
    other = WatchedEmbedder(e5)
    other.name = "another-model"
    async with bench.ingestor(other) as ingestor:
        failed = await bench.ingest(ingestor, "b.txt", "embedded by another")
    assert failed.error
    assert failed.error.code == "embedder_mismatch"
    assert "use a new vector store" in failed.error.message
    assert await bench.texts() == ["embedded by one model"]


def run_child(data_dir: Path, kind: str, point: int) -> tuple[int, list[str]]:
    program = [sys.executable, "-m", "tests.retrieval.ingest.ingest_child", str(data_dir), kind, str(point)]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(program, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode, done.stdout.splitlines()


def check_after_crash(data_dir: Path, acknowledged: set[str]) -> None:
    """Nothing acknowledged is lost, nothing is half there, nothing is doubled, and the indexes agree."""
    store = Store.open(data_dir)
    manager = IndexManager(store.changes, store.passages, data_dir, 384)
    try:
        vs = store.vector_stores.ensure(OWNER, "handbook").id
        attached = {each.filename for each in store.attachments.page(OWNER, vs, limit=100).items}
        assert acknowledged <= attached
        seen = texts(store, vs)
        assert len([text for text in seen if text.startswith("alpha")]) <= 1
        rows = [text for text in seen if "row" in text]
        assert len(rows) == len(set(rows))
        assert len(rows) in (0, 7, 8)
        assert manager.check() == []
    finally:
        manager.close()
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_kill_9_at_any_point_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    """One data directory, killed again and again, each time further on; then left to finish."""
    rng = random.Random(seed)
    acknowledged: set[str] = set()
    crashes = 0
    for _ in range(4):
        kind, most = rng.choice([("statement", 120), ("rename", 6)])
        code, lines = run_child(tmp_path, kind, rng.randint(1, most))
        crashes += code == -9
        acknowledged |= {line.split()[1] for line in lines}
        check_after_crash(tmp_path, acknowledged)
    assert crashes >= 2
    code, lines = run_child(tmp_path, "none", 0)
    assert code == 0
    assert [line for line in lines if line.startswith("completed")] == [f"completed {name}" for name, _ in FILES]
    store = Store.open(tmp_path)
    seen = texts(store, store.vector_stores.find(OWNER, "handbook").id)
    store.close()
    assert len(seen) == 1 + 7 + len([text for text in seen if "blank" in text])
    assert [text for text in seen if text.startswith("alpha")] == ["alpha is the first letter, and beta the second"]
