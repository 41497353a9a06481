"""PostgreSQL crashes and comes back, while files are ingested and searched: nobody starts anew, and nothing fails."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from retrieval.ranking.ranker import Ranker
from retrieval.ranking.search import Retriever
from retrieval.ranking.stages import RerankPlan
from retrieval.store.base.values import StoreUnavailable
from retrieval.types import SearchParams
from tests.postgresql_cluster import Cluster
from tests.retrieval.ingest.fake_embedder import OWNER
from tests.retrieval.ingest.member import Member, member, while_away
from tests.until import PATIENCE, until

TRIES = 7  # more than a file has at which something unforeseen fails


@pytest.fixture
async def working(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Member]:
    async with member(tmp_path, cluster.new_database()) as opened:
        yield opened


async def test_files_wait_for_a_database_that_has_crashed(
    cluster: Cluster, working: Member, caplog: pytest.LogCaptureFixture
) -> None:
    working.embedder.gate.clear()
    for i in range(10):
        await working.put(f"{i}.txt", f"passage {i}")
    await working.embedder.waiting.wait()
    with cluster.away():
        working.embedder.gate.set()
        await until(lambda: waits(caplog) >= TRIES, PATIENCE)
    await until(working.is_idle, PATIENCE)
    assert {file.status for file in await working.attached()} == {"completed"}
    assert await working.texts() == [f"passage {i}" for i in range(10)]
    assert await working.is_level()


async def test_searches_say_that_it_is_away_and_go_on_when_it_is_back(cluster: Cluster, working: Member) -> None:
    await working.put("a.txt", "alpha")
    await until(working.is_idle, PATIENCE)
    assert await found(working, "alpha") == ["alpha"]
    with cluster.away():
        with pytest.raises(StoreUnavailable):
            await found(working, "alpha")
        with pytest.raises(StoreUnavailable):
            await working.put("b.txt", "beta")
    assert await found(working, "alpha") == ["alpha"]
    await working.put("b.txt", "beta")
    await until(working.is_idle, PATIENCE)
    assert sorted(await found(working, "beta")) == ["alpha", "beta"]


async def test_connections_that_a_crash_has_cut_are_noticed_by_nobody_after_it(
    cluster: Cluster, working: Member
) -> None:
    """The first call on each of them after the restart, many at once."""
    await working.put("a.txt", "alpha")
    await until(working.is_idle, PATIENCE)
    await asyncio.gather(*(found(working, "alpha") for _ in range(20)))
    with cluster.away():
        pass
    answers = await asyncio.gather(*(found(working, "alpha") for _ in range(20)))
    assert answers == [["alpha"]] * 20


@pytest.mark.parametrize(("files", "crashes"), [(16, 3), pytest.param(40, 10, marks=pytest.mark.heavy)])
async def test_a_database_that_crashes_again_and_again_costs_no_file(
    cluster: Cluster, working: Member, caplog: pytest.LogCaptureFixture, files: int, crashes: int
) -> None:
    """At any moment of an ingest: the calls of the embedder pace it. It is known everywhere for what it is."""
    rng = random.Random(files)
    putting = asyncio.create_task(put_all(working, files))
    for _ in range(crashes):
        done, more = len(working.embedder.embedded), rng.randint(1, files // crashes)
        await until(lambda done=done, more=more: len(working.embedder.embedded) >= done + more, PATIENCE)
        await asyncio.sleep(rng.random() * 0.05)
        await asyncio.to_thread(cluster.crash)
        await asyncio.sleep(rng.random() * 0.1)
        await asyncio.to_thread(cluster.start)
    await putting
    await until(working.is_idle, PATIENCE)
    assert {file.status for file in await working.attached()} == {"completed"}
    assert await working.texts() == sorted(f"passage {i}" for i in range(files))
    assert await working.is_level()
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.WARNING] == []


async def put_all(working: Member, files: int) -> None:
    """A client that tries again: twice acknowledged is once there."""
    store = working.store
    for i in range(files):
        file = await while_away(lambda i=i: store.files.add(OWNER, f"{i}.txt", f"passage {i}".encode()))
        await while_away(lambda file=file: store.attachments.attach(OWNER, working.vs, file.id))
        working.ingestor.take_up()


async def found(working: Member, query: str) -> list[str]:
    store, plan = working.store, RerankPlan(Ranker.load(), seconds=PATIENCE)
    retriever = Retriever(store, working.manager, working.embedder, working.tokenizer, plan)
    resolved = await store.reads.run(store.vector_stores.resolve, OWNER, working.vs)
    result = await retriever.search(OWNER, [resolved], query, SearchParams(min_score=0))
    return [scored.chunk.text for scored in result.evidence]


def waits(caplog: pytest.LogCaptureFixture) -> int:
    return len([record for record in caplog.records if "must wait" in record.getMessage()])
