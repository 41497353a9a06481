"""A database that is away, or has no room: files wait, for as long as it takes, and none fails."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.retrieval.ingest.fake_embedder import OWNER, Bench, FakeEmbedder
from tests.until import PATIENCE, until

TRIES = 7  # more than a file has at which something unforeseen fails


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def waits(caplog: pytest.LogCaptureFixture) -> int:
    return len([record for record in caplog.records if "must wait" in record.getMessage()])


def pragma(bench: Bench, name: str, value: int) -> None:
    with bench.store.alone():
        bench.store._writer.execute(f"PRAGMA {name} = {value}")


async def test_files_wait_while_another_process_holds_the_database(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = FakeEmbedder()
    embedder.gate.clear()
    await asyncio.to_thread(pragma, bench, "busy_timeout", 1)
    path = bench.store.data_dir / "ragpod.db"
    async with bench.ingestor(embedder) as ingestor:
        file = await bench.add("a.txt", "alpha")
        await ingestor.submit(OWNER, bench.vs, file)
        await embedder.waiting.wait()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            embedder.gate.set()
            await until(lambda: waits(caplog) >= TRIES, PATIENCE)
            other.execute("ROLLBACK")
        done = await ingestor.wait(OWNER, bench.vs, file)
        assert (done.status, done.error) == ("completed", None)
        assert await bench.texts() == ["alpha"]


async def test_files_wait_while_the_disk_is_full(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async with bench.ingestor(FakeEmbedder()) as ingestor:
        file = await bench.add("a.txt", " ".join(f"word{i}" for i in range(20_000)))
        await asyncio.to_thread(pragma, bench, "max_page_count", 1)  # SQLite takes that for: no more than there are
        await ingestor.submit(OWNER, bench.vs, file)
        await until(lambda: waits(caplog) >= TRIES, PATIENCE)
        attached = await asyncio.to_thread(bench.store.get_store_file, OWNER, bench.vs, file)
        assert attached.status == "in_progress"
        await asyncio.to_thread(pragma, bench, "max_page_count", 1_000_000)
        done = await ingestor.wait(OWNER, bench.vs, file)
        assert (done.status, done.error) == ("completed", None)
        assert await bench.is_level()
