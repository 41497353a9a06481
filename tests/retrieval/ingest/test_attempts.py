"""A file version that is taken away and put up again while a worker is at it."""

import asyncio
import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from retrieval.ingest.worker import Ingestor
from retrieval.store.base.values import Attempt, NotFound, Superseded
from retrieval.types import Chunking, ParsedDocument
from tests.retrieval.hand_clock import HandClock
from tests.retrieval.ingest.fake_embedder import OWNER, PACE, Bench, FakeEmbedder
from tests.retrieval.publishing import prepare, take_up, vector
from tests.until import PATIENCE, until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_amiss(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Trying again would hide what an old worker did wrong."""
    yield
    assert warned(caplog.get_records("call")) == []


def warned(records: Sequence[logging.LogRecord]) -> list[str]:
    """But for a lease that has run out."""
    told = [record.getMessage() for record in records if record.levelno >= logging.WARNING]
    return [message for message in told if "taken over" not in message]


async def test_cancelled_and_attached_again_while_it_is_embedded_it_is_indexed_once(bench: Bench) -> None:
    embedder = FakeEmbedder()
    async with bench.ingestor(embedder) as ingestor:
        file = await bench.add("a.txt", "alpha")
        embedder.gate.clear()
        for _ in range(3):
            embedder.waiting.clear()
            await ingestor.submit(OWNER, bench.vs, file)
            await embedder.waiting.wait()
            await asyncio.to_thread(bench.store.attachments.cancel, OWNER, bench.vs, file)
            await ingestor.submit(OWNER, bench.vs, file)
            embedder.gate.set()
            done = await ingestor.wait(OWNER, bench.vs, file)
            assert (done.status, done.error) == ("completed", None)
            assert await bench.texts() == ["alpha"]
            await asyncio.to_thread(bench.store.attachments.detach, OWNER, bench.vs, file)
            embedder.gate.clear()
        assert await bench.is_level()


def test_every_step_of_an_older_attempt_is_superseded(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    store = bench.store
    file = store.files.add(OWNER, "a.txt", b"alpha")
    version = store.attachments.attach(OWNER, bench.vs, file.id).version
    old = prepare(store, version, [ParsedDocument("alpha")], embed=False)
    keys = store.versions.pending_keys(old)
    store.attachments.cancel(OWNER, bench.vs, file.id)
    assert store.attachments.attach(OWNER, bench.vs, file.id).version == version
    steps = [
        partial(store.versions.claim_embedder, old, "synthetic", 16),
        partial(store.versions.set_stage, old, "parsed"),
        partial(store.versions.keep_documents, old, []),
        partial(store.versions.add_documents, old, []),
        partial(store.versions.finish_chunking, old, 1),
        partial(store.versions.pending_keys, old),
        partial(store.versions.pending_texts, old, keys),
        partial(store.versions.save_vectors, old, keys, vector("alpha")[None], [b"code"]),
        partial(store.publishing.publish, old),
        partial(store.publishing.fail, old, "server_error", "by an old worker"),
    ]
    for step in steps:
        with pytest.raises(Superseded, match="attempt 1"):
            step()
    new = take_up(store, version).attempt
    assert new > old
    with pytest.raises(Superseded):
        store.publishing.publish(Attempt(version, new.number - 1))
    assert store.attachments.get(OWNER, bench.vs, file.id).stage == "accepted"
    bench.close()


ROWS = [f"row{i}" for i in range(12)]
FILES = [  # two contents of each name, with rows in common
    ("a.jsonl", ROWS[:8]),
    ("a.jsonl", ROWS[4:]),
    ("b.jsonl", ["only b", *ROWS[:3]]),
    ("b.jsonl", ["only b"]),
    ("c.jsonl", ["see c"]),
]


def jsonl(rows: list[str]) -> str:
    return "\n".join(f'{{"_id": "{row}", "text": "{row}"}}' for row in rows)


class Storm:
    """Clients that do anything to a few files, in any order, at once, at any of several servers."""

    def __init__(self, bench: Bench, ingestors: Sequence[Ingestor], seed: int) -> None:
        self.bench, self.ingestors, self.rng = bench, ingestors, random.Random(seed)
        self.files: list[str] = []
        self.failed: list[object] = []

    async def upload(self) -> None:
        self.files = [await self.bench.add(name, jsonl(rows)) for name, rows in FILES]

    async def client(self, steps: int) -> None:
        for _ in range(steps):
            with suppress(NotFound):
                await self.step(self.rng.randrange(len(FILES)))
            await asyncio.sleep(self.rng.choice([0, 0, 0.001, 0.005]))

    async def step(self, which: int) -> None:
        bench, file = self.bench, self.files[which]
        act = self.rng.choice(["attach"] * 4 + ["cancel"] * 3 + ["detach", "delete", "look"])
        if act == "attach":
            attributes = self.rng.choice([None, {}, {"k": "v"}])
            chunking = self.rng.choice([None, None, Chunking(400, 0), Chunking(100, 20)])
            await self.rng.choice(self.ingestors).submit(OWNER, bench.vs, file, attributes, chunking)
        elif act == "delete":
            await asyncio.to_thread(bench.store.files.delete, OWNER, file)
            name, rows = FILES[which]
            self.files[which] = await bench.add(name, jsonl(rows))
        elif act == "look":
            listed = await asyncio.to_thread(partial(bench.store.attachments.page, OWNER, bench.vs, limit=100))
            self.failed += [each.error for each in listed.items if each.error]
        else:
            await asyncio.to_thread(getattr(bench.store.attachments, act), OWNER, bench.vs, file)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_clients_do_to_files_at_once_none_fails_and_no_passage_is_lost_or_doubled(
    bench: Bench, seed: int
) -> None:
    embedder, rng = FakeEmbedder(), random.Random(seed)
    embedder.before = lambda _: asyncio.sleep(rng.choice([0, 0.002, 0.01]))
    async with bench.ingestor(embedder) as ingestor:
        storm = Storm(bench, [ingestor], seed)
        await storm.upload()
        await asyncio.gather(*(storm.client(40) for _ in range(4)))
        await outlived(bench, storm)


@pytest.mark.parametrize("seed", range(6))
async def test_nor_where_two_servers_take_each_others_leases_over_at_any_time(tmp_path: Path, seed: int) -> None:
    clock, rng, stormy = HandClock(), random.Random(seed), True
    bench = Bench(tmp_path, clock)
    embedder = FakeEmbedder()

    async def stalls(_: object) -> None:
        if stormy and rng.random() < 0.5:
            clock.now += 2 * PACE.lease
        await asyncio.sleep(rng.choice([0, 0.002, 0.05]))

    embedder.before = stalls
    one, two = (bench.ingestor(embedder, name=name, shared=True) for name in ("one", "two"))
    async with one as first, two as second:
        storm = Storm(bench, [first, second], seed)
        await storm.upload()
        await asyncio.gather(*(storm.client(40) for _ in range(4)))
        stormy = False
        await outlived(bench, storm)
    bench.close()


async def outlived(bench: Bench, storm: Storm) -> None:
    await until(bench.is_idle, PATIENCE)
    await check(bench, storm)
    for which in storm.rng.sample(range(len(FILES)), len(FILES)):  # and at the end everything is wanted
        await storm.ingestors[0].submit(OWNER, bench.vs, storm.files[which])
    await until(bench.is_idle, PATIENCE)
    await check(bench, storm)
    assert len({text.partition(" ")[0] for text in await bench.texts()}) >= 3
    assert await bench.is_level()


async def check(bench: Bench, storm: Storm) -> None:
    """Everything is settled, nothing has failed, and what is visible are the rows of the visible files, each once."""
    listed = await asyncio.to_thread(partial(bench.store.attachments.page, OWNER, bench.vs, limit=100))
    assert storm.failed + [each.error for each in listed.items if each.error] == []
    assert {each.status for each in listed.items} <= {"completed", "cancelled"}
    assert all(each.visible for each in listed.items if each.status == "completed")
    contents = {storm.files[which]: rows for which, (_, rows) in enumerate(FILES)}
    assert await bench.texts() == sorted(row for each in listed.items if each.visible for row in contents[each.file_id])
