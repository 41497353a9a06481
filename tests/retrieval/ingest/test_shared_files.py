"""Two ingestors in processes of their own on one PostgreSQL: this one's, and a child's (working_child.py)."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from retrieval.indexes.manager import IndexManager
from retrieval.ingest.upkeep import Upkeep
from retrieval.store.base.values import NotFound
from retrieval.store.store import Store
from tests.postgresql_cluster import Cluster
from tests.retrieval.ingest.fake_embedder import OWNER, FakeEmbedder
from tests.retrieval.ingest.member import member
from tests.retrieval.ingest.working import working
from tests.retrieval.publishing import DIM
from tests.until import PATIENCE, until

FILES = 60
WORKERS = 4


async def test_they_share_the_work_and_neither_does_it_twice(cluster: Cluster, tmp_path: Path) -> None:
    url, embedder = cluster.new_database(), FakeEmbedder()
    embedder.gate.clear()  # neither can have it all: this one holds a few until the other has had some
    async with (
        member(tmp_path / "one", url, embedder, workers=WORKERS) as one,
        working(tmp_path / "two", url) as two,
    ):
        for i in range(FILES):
            await one.put(f"{i:02}.txt", f"passage {i:02}")
        await embedder.waiting.wait()
        await two.until_said("embedded")
        embedder.gate.set()
        await until(one.is_idle, PATIENCE)
        assert {file.status for file in await one.attached()} == {"completed"}
        assert await one.texts() == [f"passage {i:02}" for i in range(FILES)]
        assert await one.is_level()
        await two.end()
        here = [text.rpartition("\n")[2] for text in embedder.embedded]
        assert here
        assert two.embedded
        assert sorted(here + two.embedded) == [f"passage {i:02}" for i in range(FILES)]
        assert await asyncio.to_thread(is_level, tmp_path / "two", url)


async def test_a_vector_store_that_one_deletes_leaves_the_others_disk_at_its_next_round(
    cluster: Cluster, tmp_path: Path
) -> None:
    url = cluster.new_database()
    async with member(tmp_path / "one", url) as one, member(tmp_path / "two", url) as two:
        await one.put("a.txt", "alpha")
        await until(one.is_idle, PATIENCE)
        assert await two.is_level()
        folder = two.store.data_dir / "indexes" / two.vs
        assert folder.is_dir()
        await asyncio.to_thread(one.store.vector_stores.delete, OWNER, one.vs)
        await asyncio.to_thread(Upkeep(two.store, two.manager).run)
        assert not folder.exists()
        with pytest.raises(NotFound):
            await asyncio.to_thread(two.manager.indexes, two.vs)


async def test_what_one_deletes_is_not_found_by_the_other(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.new_database()
    async with member(tmp_path / "one", url) as one, member(tmp_path / "two", url) as two:
        file = await one.put("a.txt", "alpha")
        await two.put("b.txt", "beta")
        await until(one.is_idle, PATIENCE)
        assert await two.is_level()
        await asyncio.to_thread(one.store.files.delete, OWNER, file)
        assert await two.texts() == ["beta"]
        assert await two.is_level()
        for each in (one, two):
            assert await asyncio.to_thread(each.store.retention.leftovers_due)
            await asyncio.to_thread(Upkeep(each.store, each.manager).run)
            assert not await asyncio.to_thread(each.store.retention.leftovers_due)
            assert await each.is_level()


def is_level(data_dir: Path, url: str) -> bool:
    """Of one that has ended: its indexes on disk, and what they still lack of the log."""
    with (
        closing(Store.open(data_dir, url=url)) as store,
        closing(IndexManager(store.changes, store.passages, data_dir, DIM)) as manager,
    ):
        return manager.check() == []
