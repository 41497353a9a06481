"""A database that is away, or has no room, an embedder that is down: files wait, for a day; then they are parked."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import Unavailable
from retrieval.ingest.pace import Pace
from tests.retrieval.ingest.fake_embedder import OWNER, Bench, FakeEmbedder
from tests.retrieval.watching import Pragmas
from tests.until import PATIENCE, until

TRIES = 7  # more than a file has at which something unforeseen fails


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def waits(caplog: pytest.LogCaptureFixture) -> int:
    return len([record for record in caplog.records if "must wait" in record.getMessage()])


async def test_files_wait_while_another_process_holds_the_database(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = FakeEmbedder()
    embedder.gate.clear()
    Pragmas(bench.store)["busy_timeout"] = 1
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
    pragmas = Pragmas(bench.store)
    async with bench.ingestor(FakeEmbedder()) as ingestor:
        file = await bench.add("a.txt", " ".join(f"word{i}" for i in range(20_000)))
        pragmas["max_page_count"] = 1  # SQLite takes that for: no more than there are
        await ingestor.submit(OWNER, bench.vs, file)
        await until(lambda: waits(caplog) >= TRIES, PATIENCE)
        attached = await asyncio.to_thread(bench.store.attachments.get, OWNER, bench.vs, file)
        assert attached.status == "in_progress"
        pragmas["max_page_count"] = 1_000_000
        done = await ingestor.wait(OWNER, bench.vs, file)
        assert (done.status, done.error) == ("completed", None)
        assert await bench.is_level()


async def test_a_file_that_waited_too_long_is_parked_and_completes_when_it_is_tried_again(bench: Bench) -> None:
    embedder = FakeEmbedder()

    def down(_: object) -> None:
        raise Unavailable("the embedder is down")

    embedder.before = down
    async with bench.ingestor(embedder, pace=Pace(first_pause=0.01, patience=0.05)) as ingestor:
        file = await bench.add("a.txt", "alpha")
        await ingestor.submit(OWNER, bench.vs, file)
        parked = await ingestor.wait(OWNER, bench.vs, file)
        assert parked.error is not None
        assert (parked.status, parked.error.code) == ("failed", "server_error")
        assert "ragpod retry" in parked.error.message
        embedder.before = lambda _: None
        await asyncio.to_thread(bench.store.attachments.retry, OWNER, bench.vs, file)
        ingestor.take_up()
        assert (await ingestor.wait(OWNER, bench.vs, file)).status == "completed"
