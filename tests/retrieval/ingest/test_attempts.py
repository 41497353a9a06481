"""A file version that is taken away and put up again while a worker is at it."""

import asyncio
import logging
import random
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from retrieval.ingest.queue import Queue
from retrieval.ingest.worker import Ingestor
from retrieval.store.store import NotFound
from retrieval.store.types import Attempt, Superseded
from retrieval.types import Chunking, ParsedDocument
from tests.retrieval.ingest.fake_embedder import OWNER, Bench, FakeEmbedder
from tests.retrieval.publishing import prepare, vector
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
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.WARNING] == []


async def test_cancelled_and_attached_again_while_it_is_embedded_it_is_indexed_once(bench: Bench) -> None:
    embedder = FakeEmbedder()
    async with bench.ingestor(embedder) as ingestor:
        file = await bench.add("a.txt", "alpha")
        embedder.gate.clear()
        for _ in range(3):
            embedder.waiting.clear()
            await ingestor.submit(OWNER, bench.vs, file)
            await embedder.waiting.wait()
            await asyncio.to_thread(bench.store.cancel, OWNER, bench.vs, file)
            await ingestor.submit(OWNER, bench.vs, file)
            embedder.gate.set()
            done = await ingestor.wait(OWNER, bench.vs, file)
            assert (done.status, done.error) == ("completed", None)
            assert await bench.texts() == ["alpha"]
            await asyncio.to_thread(bench.store.detach, OWNER, bench.vs, file)
            embedder.gate.clear()
        assert await bench.is_level()


def test_every_step_of_an_older_attempt_is_superseded(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    store = bench.store
    file = store.add_file(OWNER, "a.txt", b"alpha")
    version = store.attach(OWNER, bench.vs, file.id).version
    old = prepare(store, version, [ParsedDocument("alpha")], embed=False)
    keys = store.pending_keys(old)
    store.cancel(OWNER, bench.vs, file.id)
    assert store.attach(OWNER, bench.vs, file.id).version == version
    steps = [
        partial(store.claim_embedder, old, "synthetic", 16),
        partial(store.set_stage, old, "parsed"),
        partial(store.keep_documents, old, []),
        partial(store.add_documents, old, []),
        partial(store.finish_chunking, old, 1),
        partial(store.pending_keys, old),
        partial(store.pending_texts, old, keys),
        partial(store.save_vectors, old, keys, vector("alpha")[None], [b"code"]),
        partial(store.publish, old),
        partial(store.fail, old, "server_error", "by an old worker"),
    ]
    for step in steps:
        with pytest.raises(Superseded, match="attempt 1"):
            step()
    new = store.take_up(version).attempt
    assert new > old
    with pytest.raises(Superseded):
        store.publish(Attempt(version, new.number - 1))
    assert store.get_store_file(OWNER, bench.vs, file.id).stage == "accepted"
    bench.close()


async def test_what_is_added_while_it_is_worked_on_is_looked_at_once_more() -> None:
    queue = Queue()
    queue.add(1)
    assert await queue.next() == 1
    event = queue.watch(1)
    queue.add(1)
    queue.add(1)
    queue.done(1)
    assert not event.is_set()
    assert await queue.next() == 1
    queue.done(1)
    assert event.is_set()
    assert len(queue) == 0


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
    """Clients that do anything to a few files, in any order, at once."""

    def __init__(self, bench: Bench, ingestor: Ingestor, seed: int) -> None:
        self.bench, self.ingestor, self.rng = bench, ingestor, random.Random(seed)
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
            await self.ingestor.submit(OWNER, bench.vs, file, attributes, chunking)
        elif act == "delete":
            await asyncio.to_thread(bench.store.delete_file, OWNER, file)
            name, rows = FILES[which]
            self.files[which] = await bench.add(name, jsonl(rows))
        elif act == "look":
            listed = await asyncio.to_thread(partial(bench.store.list_store_files, OWNER, bench.vs, limit=100))
            self.failed += [each.error for each in listed.items if each.error]
        else:
            await asyncio.to_thread(getattr(bench.store, act), OWNER, bench.vs, file)


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_clients_do_to_files_at_once_none_fails_and_no_passage_is_lost_or_doubled(
    bench: Bench, seed: int
) -> None:
    embedder, rng = FakeEmbedder(), random.Random(seed)
    embedder.before = lambda _: asyncio.sleep(rng.choice([0, 0.002, 0.01]))
    async with bench.ingestor(embedder) as ingestor:
        storm = Storm(bench, ingestor, seed)
        await storm.upload()
        await asyncio.gather(*(storm.client(40) for _ in range(4)))
        await until(lambda: ingestor.unfinished == 0, PATIENCE)
        await check(bench, storm)
        for which in rng.sample(range(len(FILES)), len(FILES)):  # and at the end everything is wanted
            await ingestor.submit(OWNER, bench.vs, storm.files[which])
        await until(lambda: ingestor.unfinished == 0, PATIENCE)
        await check(bench, storm)
        assert len({text.partition(" ")[0] for text in await bench.texts()}) >= 3
        assert await bench.is_level()


async def check(bench: Bench, storm: Storm) -> None:
    """Everything is settled, nothing has failed, and what is visible are the rows of the visible files, each once."""
    listed = await asyncio.to_thread(partial(bench.store.list_store_files, OWNER, bench.vs, limit=100))
    assert storm.failed + [each.error for each in listed.items if each.error] == []
    assert {each.status for each in listed.items} <= {"completed", "cancelled"}
    assert all(each.visible for each in listed.items if each.status == "completed")
    contents = {storm.files[which]: rows for which, (_, rows) in enumerate(FILES)}
    assert await bench.texts() == sorted(row for each in listed.items if each.visible for row in contents[each.file_id])
