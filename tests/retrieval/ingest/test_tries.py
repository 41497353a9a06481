"""What was in vain is remembered over a restart: of a file that kills its server, and of one that waits."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import Unavailable
from retrieval.ingest.pace import Pace
from retrieval.store.store import Store
from tests.databases import empty_database
from tests.retrieval.ingest.fake_embedder import OWNER, PACE, Bench, FakeEmbedder
from tests.retrieval.ingest.working import ROOT
from tests.until import PATIENCE, until

KILLED = -9


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def run_child(data_dir: Path, url: str | None) -> int:
    program = [sys.executable, "-m", "tests.retrieval.ingest.dying_child", str(data_dir), url or "", "0.05"]
    return subprocess.run(program, cwd=ROOT, check=False, timeout=PATIENCE).returncode


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_file_that_kills_its_server_fails_and_takes_no_other_with_it(tmp_path: Path, kind: str) -> None:
    with empty_database(kind, tmp_path) as place:
        url = None if kind == "sqlite" else place.render_as_string(hide_password=False)
        names = {"a.txt": "alpha", "b.txt": "beta is deadly", "c.txt": "gamma", "d.txt": "delta"}
        with closing(Store.open(tmp_path / "data", url=url)) as store:
            vs = store.vector_stores.ensure(OWNER, "handbook").id
            files = {name: store.files.add(OWNER, name, text.encode()).id for name, text in names.items()}
            hook = store.webhooks.create(OWNER, "https://example.com", "", ["file.failed"])[0].id
            for file in files.values():
                store.attachments.attach(OWNER, vs, file)
        assert [run_child(tmp_path / "data", url) for _ in range(4)] == [KILLED] * 3 + [0]
        with closing(Store.open(tmp_path / "data", url=url)) as store:
            ended = {name: store.attachments.get(OWNER, vs, file) for name, file in files.items()}
            assert {name: file.status for name, file in ended.items()} == {
                **dict.fromkeys(names, "completed"),
                "b.txt": "failed",
            }
            error = ended["b.txt"].error
            assert error is not None
            assert error.code == "worker_died"
            assert "died 3 times" in error.message
            assert "ragpod retry" in error.message
            (told,) = store.deliveries.page(OWNER, hook).items
            assert told.type == "file.failed"
            store.attachments.retry(OWNER, vs, files["b.txt"])
        assert [run_child(tmp_path / "data", url) for _ in range(4)] == [KILLED] * 3 + [0]


async def settled(bench: Bench, file: str) -> bool:
    return (await asyncio.to_thread(bench.store.attachments.get, OWNER, bench.vs, file)).status != "in_progress"


async def test_failures_that_nobody_has_foreseen_are_counted_over_restarts(bench: Bench) -> None:
    calls = 0

    def odd(_: object) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("odd")

    file = await bench.add("a.txt", "alpha")
    await asyncio.to_thread(bench.store.attachments.attach, OWNER, bench.vs, file)
    for tries in range(1, 6):
        embedder = FakeEmbedder()
        embedder.before = odd
        slow = replace(PACE, first_pause=0.0 if tries == 5 else 3600.0)
        bench.store.queue.release_all("rests")
        with bench.store.database.write() as db:  # its pause is over
            db.exec_driver_sql("UPDATE store_files SET lease_until = NULL")
        async with bench.ingestor(embedder, pace=slow):
            await until(lambda tries=tries: calls == tries, PATIENCE)  # type: ignore[misc]
            if tries == 5:
                await until(lambda: settled(bench, file), PATIENCE)
            else:
                await until(lambda: rests(bench), PATIENCE)
    failed = await asyncio.to_thread(bench.store.attachments.get, OWNER, bench.vs, file)
    assert failed.error is not None
    assert "failed at this file 5 times" in failed.error.message


async def rests(bench: Bench) -> bool:
    due = await asyncio.to_thread(bench.store.queue.next_due)
    return due is not None and due > bench.store.clock() + 1000


async def test_a_files_patience_goes_on_after_a_restart(bench: Bench) -> None:
    def down(_: object) -> None:
        raise Unavailable("down")

    file = await bench.add("a.txt", "alpha")
    await asyncio.to_thread(bench.store.attachments.attach, OWNER, bench.vs, file)
    pace = Pace(first_pause=0.05, poll=0.01, patience=1.0)
    for _ in range(200):
        if await settled(bench, file):
            break
        embedder = FakeEmbedder()
        embedder.before = down
        async with bench.ingestor(embedder, pace=pace) as ingestor:
            await asyncio.wait_for(embedder.waiting.wait(), PATIENCE)
            await until(lambda ingestor=ingestor: not ingestor._leases._held, PATIENCE)  # type: ignore[misc]
    failed = await asyncio.to_thread(bench.store.attachments.get, OWNER, bench.vs, file)
    assert failed.status == "failed"
    assert failed.error is not None
    assert "hours for the server to be able to, last with Unavailable" in failed.error.message


@pytest.mark.parametrize(("tries", "pause"), [(1, 0.25), (2, 0.5), (8, 30.0), (10_000, 30.0)])
def test_pauses_double_up_to_half_a_minute(tries: int, pause: float) -> None:
    assert Pace().pause(tries) == pause
