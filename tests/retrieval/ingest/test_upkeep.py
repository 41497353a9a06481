"""What was deleted is in no file of the data directory after the upkeep: no text, no term, no vector."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.embedders.e5 import E5Embedder
from retrieval.indexes.bm25 import Bm25Index
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.upkeep import Upkeep
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.base.values import NotFound
from retrieval.store.store import Store
from tests.until import PATIENCE, until

OWNER = "ann"
MARK = "Quokkaberry"  # in no other text here
TERM = "quokkaberri"


@pytest.fixture(scope="module")
def e5() -> Iterator[E5Embedder]:
    loaded = E5Embedder.load(threads=1)
    yield loaded
    loaded.close()


@dataclass
class Bench:
    folder: Path
    store: Store
    manager: IndexManager
    ingestor: Ingestor
    upkeep: Upkeep
    vs: str

    async def add(self, name: str, text: str) -> str:
        file = self.store.files.add(OWNER, name, text.encode())
        await self.ingestor.submit(OWNER, self.vs, file.id)
        assert (await self.ingestor.wait(OWNER, self.vs, file.id)).status == "completed"
        return file.id

    def forms(self) -> list[bytes]:
        """How the marked passages may stand in a file: text, terms, and the first components of their vectors."""
        keys, _ = self.store.passages.visible_keys(self.vs)
        passages = self.store.passages.load(OWNER, self.store.vector_stores.resolve(OWNER, self.vs), keys)
        marked = [key for key, passage in passages.items() if MARK in passage.chunk.text]
        assert marked
        _, vectors = self.store.passages.vectors(marked, self.manager.dim or 0)
        halves = [row.astype(np.float16).tobytes()[:64] for row in vectors]
        codes = [passages[key].token_code[64:128] for key in marked]
        return [MARK.encode(), TERM.encode(), *halves, *codes]

    def postings(self) -> int:
        """Of the marked term, on disk: tantivy's dictionary is an automaton, in which no term stands as it is.

        Files of segments that are no longer the index's count too.
        """
        folder = self.folder / "indexes" / self.vs / "bm25"
        if not folder.exists():
            return 0
        segments = {segment["segment_id"].replace("-", "") for segment in meta(folder)["segments"]}
        left = [path.name for path in folder.iterdir() if path.suffix not in (".json", ".lock", ".tmp")]
        strange = [name for name in left if name.partition(".")[0] not in segments]
        return int(Bm25Index(folder)._index.searcher().doc_freq("terms", TERM)) + len(strange)

    def found(self, forms: list[bytes]) -> dict[str, int]:
        """File -> how many of `forms` stand in it."""
        contents = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        counts = {str(path): sum(form in content for form in forms) for path, content in contents.items()}
        return {path: count for path, count in counts.items() if count}


def meta(folder: Path) -> Any:
    return json.loads((folder / "meta.json").read_text("utf-8"))


@pytest.fixture
async def bench(tmp_path: Path, e5: E5Embedder) -> AsyncIterator[Bench]:
    store = Store.open(tmp_path)
    manager = IndexManager(store.changes, store.passages, tmp_path, e5.dim, e5.name)
    ingestor = Ingestor(store, manager, e5, Tokenizer.load())
    await ingestor.start()
    vs = store.vector_stores.create(OWNER, "handbook").id
    yield Bench(tmp_path, store, manager, ingestor, Upkeep(store, manager), vs)
    await ingestor.aclose()
    manager.close()
    store.close()


def delete_file(bench: Bench, file_id: str) -> None:
    bench.store.files.delete(OWNER, file_id)


def detach_and_delete(bench: Bench, file_id: str) -> None:
    bench.store.attachments.detach(OWNER, bench.vs, file_id)
    bench.store.files.delete(OWNER, file_id)


def delete_store_and_file(bench: Bench, file_id: str) -> None:
    bench.store.vector_stores.delete(OWNER, bench.vs)
    bench.manager.forget(bench.vs)
    bench.store.files.delete(OWNER, file_id)


def expire_file(bench: Bench, file_id: str) -> None:
    with bench.store.database.write() as db:
        db.exec_driver_sql("UPDATE files SET expires_at = 1 WHERE id = ?", (file_id,))


@pytest.mark.parametrize("delete", [delete_file, detach_and_delete, delete_store_and_file, expire_file])
async def test_no_byte_of_a_deleted_file_is_left(bench: Bench, delete: Callable[[Bench, str], None]) -> None:
    others = [await bench.add(f"{i}.txt", f"Another passage, number {i}, about badgers.") for i in range(4)]
    text = f"The {MARK} grows on the northern slope.\n\n" + f"{MARK} jam keeps for a year. " * 60
    file_id = await bench.add(f"{MARK}.txt", text)
    bench.manager.close()  # everything is written to disk
    forms = bench.forms()
    assert len(bench.found(forms)) >= 2  # the database and the vectors
    assert bench.postings() >= 1
    delete(bench, file_id)
    await asyncio.to_thread(bench.upkeep.run)
    assert bench.found(forms) == {}
    assert bench.postings() == 0
    assert len(bench.store.files.page(OWNER).items) == len(others)
    assert bench.manager.check() == []
    assert not bench.store.retention.leftovers_due()


async def test_a_detached_file_leaves_its_bytes_alone(bench: Bench) -> None:
    file_id = await bench.add("jam.txt", f"{MARK} jam.")
    bench.manager.close()
    _, *indexed = bench.forms()
    bench.store.attachments.detach(OWNER, bench.vs, file_id)
    await asyncio.to_thread(bench.upkeep.run)
    assert bench.store.files.content(OWNER, file_id) == f"{MARK} jam.".encode()
    assert bench.found(indexed) == {}


async def test_an_old_version_is_gone_when_a_new_one_has_taken_its_place(bench: Bench) -> None:
    old = await bench.add("jam.txt", f"{MARK} jam.")
    forms = bench.forms()
    await bench.add("jam.txt", "Strawberry jam.")
    bench.store.files.delete(OWNER, old)
    await asyncio.to_thread(bench.upkeep.run)
    assert bench.found(forms) == {}


async def test_what_was_deleted_can_be_added_again(bench: Bench) -> None:
    for _ in range(2):
        file_id = await bench.add("jam.txt", f"{MARK} jam.")
        assert len(bench.manager.indexes(bench.vs)[Bm25Index].search(["quokkaberri", MARK.lower()], 5)) == 1
        bench.store.files.delete(OWNER, file_id)
        await asyncio.to_thread(bench.upkeep.run)
        assert bench.manager.indexes(bench.vs)[Bm25Index].keys() == []
        assert bench.manager.check() == []


async def test_a_file_deleted_while_it_is_ingested_leaves_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.add("other.txt", "Badgers.")
    names = [f"{i}.txt" for i in range(6)]
    files = [bench.store.files.add(OWNER, name, f"{name} {MARK} jam. ".encode() * 300) for name in names]
    rng = random.Random(4)
    for file in files:
        await bench.ingestor.submit(OWNER, bench.vs, file.id)
    for file in files:
        await asyncio.sleep(rng.random() / 10)
        await asyncio.to_thread(bench.store.files.delete, OWNER, file.id)
    for file in files:
        with pytest.raises(NotFound):
            await bench.ingestor.wait(OWNER, bench.vs, file.id)
    await until(lambda: not bench.store.queue.unfinished(), PATIENCE)
    await asyncio.to_thread(bench.upkeep.run)
    assert bench.found([MARK.encode(), TERM.encode()]) == {}
    assert bench.manager.check() == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_many_deletions_among_many_files_leave_nothing(bench: Bench) -> None:
    """Cells that SQLite moved from page to page are not overwritten where they stood: only a rewrite removes them."""
    rng, dead = random.Random(1), list[bytes]()
    for round_number in range(25):
        live = [f"{round_number}-{i}" for i in range(8)]
        for name in live:
            text = f"mark{name}end " * rng.randint(1, 400)
            bench.store.files.add(OWNER, name, text.encode())
        for file in rng.sample(list(bench.store.files.page(OWNER, limit=1000).items), 5):
            bench.store.files.delete(OWNER, file.id)
            dead.append(f"mark{file.filename}end".encode())
    await asyncio.to_thread(bench.upkeep.run)
    assert bench.found(dead) == {}
    assert len(dead) == 125


async def test_searches_go_on_while_the_indexes_are_rewritten(bench: Bench) -> None:
    await bench.add("other.txt", "Badgers dig.")
    file_id = await bench.add("jam.txt", f"{MARK} jam.")
    bench.store.files.delete(OWNER, file_id)
    bm25 = bench.manager.indexes(bench.vs)[Bm25Index]
    work = asyncio.create_task(asyncio.to_thread(bench.upkeep.run))
    while not work.done():
        assert len(await asyncio.to_thread(bm25.search, ["badger"], 5)) == 1
    await work
    assert not bm25.has_removed
