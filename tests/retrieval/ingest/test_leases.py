"""Several ingestors on one database, as servers share one: each version is one's at a time, and nobody's for long."""

import asyncio
import logging
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.errors import BadRequest, Unavailable
from retrieval.ingest.worker import Ingestor
from tests.retrieval.hand_clock import HandClock
from tests.retrieval.ingest.fake_embedder import OWNER, PACE, Bench, FakeEmbedder
from tests.retrieval.watching import before, with_step
from tests.until import PATIENCE, until

FILES = 40
HELD = 2  # by an ingestor of two workers


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def bench(tmp_path: Path, clock: HandClock) -> Iterator[Bench]:
    made = Bench(tmp_path, clock)
    yield made
    made.close()


def leases(bench: Bench) -> dict[str, list[float]]:
    """By who holds them, when they run out."""
    with bench.store.database.read() as db:
        rows = db.exec_driver_sql(
            "SELECT leased_by, lease_until FROM store_files WHERE leased_by IS NOT NULL"
        ).fetchall()
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.leased_by, []).append(row.lease_until)
    return found


async def put_up(bench: Bench, count: int = FILES) -> list[str]:
    """Their texts, sorted."""
    texts = [f"text {i}" for i in range(count)]
    for i, text in enumerate(texts):
        await asyncio.to_thread(bench.store.attachments.attach, OWNER, bench.vs, await bench.add(f"{i}.txt", text))
    return sorted(texts)


def embedded(*embedders: FakeEmbedder) -> list[str]:
    """Sorted, without their titles."""
    return sorted(text.rpartition("\n")[2] for embedder in embedders for text in embedder.embedded)


def looks(bench: Bench) -> Counter[str]:
    """How often each has asked for a version, from now on."""
    counted: Counter[str] = Counter()
    before(bench.store.queue, "claim", lambda worker, _: counted.update([worker]))
    return counted


async def looked(counted: Counter[str], name: str, times: int = 3) -> None:
    """It has asked for a version again, and has seen all that there was before."""
    wanted = counted[name] + times
    await until(lambda: counted[name] >= wanted, PATIENCE)


@asynccontextmanager
async def stuck(bench: Bench, name: str, **options: Any) -> AsyncIterator[tuple[Ingestor, FakeEmbedder]]:
    """An ingestor of two workers, each of which is embedding a file, for as long as the gate is closed."""
    embedder = FakeEmbedder()
    embedder.gate.clear()
    async with bench.ingestor(embedder, workers=HELD, name=name, shared=True, **options) as ingestor:
        await until(lambda: len(leases(bench).get(name, [])) == HELD, PATIENCE)
        await embedder.waiting.wait()
        yield ingestor, embedder


async def kill(ingestor: Ingestor) -> None:
    """Nothing of it goes on, and it gives nothing back."""
    for task in ingestor._tasks:
        task.cancel()
    await asyncio.gather(*ingestor._tasks, return_exceptions=True)


async def test_two_ingestors_share_the_files_and_each_is_embedded_once(bench: Bench) -> None:
    texts, rng, embedders = await put_up(bench), random.Random(1), [FakeEmbedder(), FakeEmbedder()]
    async with AsyncExitStack() as stack:
        for i, embedder in enumerate(embedders):
            embedder.before = lambda _: asyncio.sleep(rng.choice([0, 0.002, 0.01]))
            await stack.enter_async_context(bench.ingestor(embedder, name=str(i), shared=True))
        await until(bench.is_idle, PATIENCE)
    assert embedded(*embedders) == texts
    assert await bench.texts() == texts
    assert await bench.is_level()


async def test_what_another_is_at_is_left_to_it(bench: Bench) -> None:
    texts, other = await put_up(bench), FakeEmbedder()
    async with stuck(bench, "one") as (_, slow), bench.ingestor(other, name="two", shared=True):
        await until(lambda: len(other.embedded) == FILES - HELD, PATIENCE)
        slow.gate.set()
        await until(bench.is_idle, PATIENCE)
        assert len(slow.embedded) == HELD
        assert embedded(slow, other) == texts


async def test_what_one_that_died_had_is_finished_by_another_when_its_leases_have_run_out(
    bench: Bench, clock: HandClock
) -> None:
    texts, other, counted = await put_up(bench), FakeEmbedder(), looks(bench)
    async with stuck(bench, "one") as (dead, _), bench.ingestor(other, name="two", shared=True) as ingestor:
        await kill(dead)
        await until(lambda: len(other.embedded) == FILES - HELD, PATIENCE)
        clock.now += PACE.lease - 1
        await looked(counted, "two")
        await until(lambda: ingestor.unfinished == HELD, PATIENCE)
        clock.now += 1
        await until(bench.is_idle, PATIENCE)
        assert embedded(other) == texts
        assert await bench.texts() == texts
        assert await bench.is_level()


async def test_one_that_was_killed_has_its_files_again_at_its_next_start(bench: Bench) -> None:
    texts, again = await put_up(bench, HELD), FakeEmbedder()
    async with stuck(bench, "one") as (dead, _):
        await kill(dead)
        assert len(leases(bench)["one"]) == HELD
        async with bench.ingestor(again, name="one"):
            await until(bench.is_idle, PATIENCE)
            assert embedded(again) == texts


async def test_one_that_is_closed_leaves_its_files_to_another_at_once(bench: Bench) -> None:
    texts, other, counted = await put_up(bench, HELD), FakeEmbedder(), looks(bench)
    async with stuck(bench, "one") as (closed, _), bench.ingestor(other, name="two", shared=True):
        await looked(counted, "two")
        assert other.embedded == []
        await closed.aclose()
        await until(bench.is_idle, PATIENCE)
        assert embedded(other) == texts


async def many_leases_long(bench: Bench, clock: HandClock, counted: Counter[str]) -> None:
    """Time passes no faster than signs of life are given; another looks on."""
    for _ in range(4):
        clock.now += 0.7 * PACE.lease
        await until(lambda: leases(bench) == {"one": [clock.now + PACE.lease] * HELD}, PATIENCE)
        await looked(counted, "two")


async def test_a_file_that_takes_long_stays_with_who_works_at_it(bench: Bench, clock: HandClock) -> None:
    texts, other, counted = await put_up(bench, HELD), FakeEmbedder(), looks(bench)
    alive = replace(PACE, renewal=0.01)
    async with stuck(bench, "one", pace=alive) as (_, slow), bench.ingestor(other, name="two", shared=True):
        await many_leases_long(bench, clock, counted)
        slow.gate.set()
        await until(bench.is_idle, PATIENCE)
        assert (embedded(slow), other.embedded) == (texts, [])


async def test_what_is_published_stays_with_who_waits_for_its_indexes(bench: Bench, clock: HandClock) -> None:
    texts, other, counted, written = await put_up(bench, HELD), FakeEmbedder(), looks(bench), threading.Event()
    before(bench.manager, "refresh", lambda _: written.wait(PATIENCE))
    alive = replace(PACE, renewal=0.01)
    async with bench.ingestor(FakeEmbedder(), name="one", shared=True, pace=alive):
        await until(lambda: len(bench.store.passages.visible_keys(bench.vs)[0]) == HELD, PATIENCE)
        async with bench.ingestor(other, name="two", shared=True):
            await many_leases_long(bench, clock, counted)
            written.set()
            await until(bench.is_idle, PATIENCE)
        assert other.embedded == []
        assert await bench.texts() == texts
        assert counted["one"] >= HELD
        assert await bench.is_level()


STEPS = [
    *("claim_embedder", "set_stage", "keep_documents", "add_documents", "finish_chunking"),
    *("pending_keys", "pending_texts", "save_vectors", "publish", "fail", "complete"),
]


def rows(numbers: range) -> str:
    return "\n".join(f'{{"_id": "{i}", "text": "row {i}"}}' for i in numbers)


def held_up(bench: Bench, step: str) -> tuple[threading.Event, threading.Event]:
    """Whoever comes first to that step stays there: that it has come, and that it may go on."""
    come, go = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        if not come.is_set():
            come.set()
            go.wait(PATIENCE)

    before(with_step(bench.store, step), step, hold)
    return come, go


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_whose_lease_was_taken_over_publishes_nothing_and_lets_go(
    bench: Bench, clock: HandClock, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    """It stalled before that step, for longer than its lease, in the middle of replacing an older version."""
    async with bench.ingestor(FakeEmbedder()) as ingestor:
        await bench.ingest(ingestor, "table.jsonl", rows(range(4)))
    come, go = held_up(bench, step)
    slow, other = FakeEmbedder(), FakeEmbedder()
    if step == "fail":
        slow.before = refuse
    async with bench.ingestor(slow, workers=1, name="one") as stalled:
        file = await bench.add("table.jsonl", rows(range(2, 7)))
        await stalled.submit(OWNER, bench.vs, file)
        await until(come.is_set, PATIENCE)
        clock.now += PACE.lease
        async with bench.ingestor(other, name="two", shared=True) as ingestor:
            assert (await ingestor.wait(OWNER, bench.vs, file)).status == "completed"
        go.set()
        await until(lambda: not stalled._leases._held, PATIENCE)
        done = await stalled.wait(OWNER, bench.vs, file)
        assert (done.status, done.error, done.documents) == ("completed", None, 5)
    assert await bench.texts() == [f"row {i}" for i in range(2, 7)]
    log = [change.added for change in bench.store.changes.after(bench.vs, 0, 100)]
    assert (log.count(True), log.count(False)) == (4 + 3, 2)
    assert await bench.is_level()
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == 1
    assert "taken over by two, nothing was heard of one" in warned[0]


def refuse(_: object) -> None:
    raise BadRequest("no such model")


def unavailable(_: object) -> None:
    raise Unavailable("down")


def odd(texts: object) -> None:
    if "text 0" in str(texts):
        raise RuntimeError("odd")


async def test_a_file_that_has_failed_gives_way_to_others_until_its_pause_is_over(
    bench: Bench, clock: HandClock
) -> None:
    texts, embedder, pause = await put_up(bench, 3), FakeEmbedder(), 25.0
    embedder.before = odd
    slow = replace(PACE, first_pause=pause)
    async with bench.ingestor(embedder, workers=1, shared=True, pace=slow) as ingestor:
        await until(lambda: ingestor.unfinished == 1, PATIENCE)
        assert embedded(embedder) == texts[1:]
        assert clock.now < (bench.store.queue.next_due() or 0.0) <= clock.now + pause
        embedder.before = lambda _: None
        clock.now += pause
        await until(bench.is_idle, PATIENCE)
        assert embedded(embedder) == texts


async def test_a_worker_rests_where_other_files_would_fare_no_better_and_another_server_goes_on(
    bench: Bench, clock: HandClock
) -> None:
    texts, down, well, counted, pause = await put_up(bench, 3), FakeEmbedder(), FakeEmbedder(), looks(bench), 25.0
    down.before = unavailable
    slow = replace(PACE, first_pause=pause)
    async with bench.ingestor(down, workers=1, name="one", shared=True, pace=slow):
        await until(lambda: down.waiting.is_set() and not leases(bench), PATIENCE)
        await asyncio.sleep(0.05)
        assert counted["one"] == 1
        async with bench.ingestor(well, name="two", shared=True) as ingestor:
            await until(lambda: ingestor.unfinished == 1, PATIENCE)
            assert embedded(well) == texts[1:]
            clock.now += pause
            await until(bench.is_idle, PATIENCE)
            assert embedded(well) == texts
        assert counted["one"] == 1


async def test_who_waits_hears_of_what_another_has_settled(bench: Bench) -> None:
    async with bench.ingestor(FakeEmbedder(), workers=0, name="one", shared=True) as ingestor:
        file = await bench.add("a.txt", "alpha")
        await ingestor.submit(OWNER, bench.vs, file)
        waiter = asyncio.create_task(ingestor.wait(OWNER, bench.vs, file))
        async with bench.ingestor(FakeEmbedder(), name="two", shared=True):
            assert (await asyncio.wait_for(waiter, PATIENCE)).status == "completed"


async def test_who_has_nothing_to_do_asks_no_more(bench: Bench) -> None:
    """Alone it asks when something is put up, or a lease runs out; beside others, once in a while."""
    counted = looks(bench)
    await put_up(bench, HELD)
    async with stuck(bench, "one") as (_, slow), bench.ingestor(FakeEmbedder(), workers=1, name="two") as alone:
        await until(lambda: counted["two"] > 0, PATIENCE)
        await asyncio.sleep(0.1)
        assert (counted["two"], alone.unfinished) == (1, HELD)
        slow.gate.set()
        await until(bench.is_idle, PATIENCE)
        await bench.ingest(alone, "new.txt", "new")


async def test_what_cannot_be_claimed_though_it_is_due_is_not_asked_for_without_a_pause(bench: Bench) -> None:
    """As where another server has its row locked at this instant."""
    await put_up(bench, 1)
    asked: list[str] = []

    def nothing(worker: str, _: float, **wanted: object) -> None:
        asked.append(worker)

    bench.store.queue.claim = nothing  # type: ignore[method-assign]
    async with bench.ingestor(FakeEmbedder()):
        await until(lambda: len(asked) >= 2, PATIENCE)
        count = len(asked)
        await asyncio.sleep(0.2)
        assert len(asked) <= count + 10  # two keep watch: one of those that build generations too, one of the others
