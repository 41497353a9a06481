"""kill -9 at an ingestor that has its store in PostgreSQL, while files come, change and go."""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from retrieval.indexes.manager import IndexManager
from retrieval.store.store import Store
from tests.postgresql_cluster import Cluster
from tests.retrieval.ingest.fake_embedder import OWNER, FakeEmbedder
from tests.retrieval.ingest.member import Member, member
from tests.retrieval.ingest.moves import NAMES, Move, attached, plan, possible
from tests.retrieval.ingest.working import working
from tests.retrieval.publishing import DIM, texts
from tests.until import PATIENCE, until

ROOT = Path(__file__).resolve().parents[3]
POINTS = {"statement": 250, "rename": 5}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "length", "kills"), [(1, 24, 5), *(pytest.param(n, 100, 20, marks=pytest.mark.heavy) for n in (2, 3, 4))]
)
def test_kill_9_at_any_point_loses_doubles_and_revives_nothing(
    cluster: Cluster, tmp_path: Path, seed: int, length: int, kills: int
) -> None:
    """Killed again and again, and each time started with the same data folder; then left to finish."""
    rng, moves, url = random.Random(seed), plan(seed, length), cluster.new_database()
    acknowledged, killed = 0, 0
    while killed < kills and acknowledged < length:
        kind = rng.choice(["statement", "statement", "rename"])
        code, lines = run_child(tmp_path, url, seed, length, acknowledged, kind, rng.randint(1, POINTS[kind]))
        killed += code == -9
        acknowledged += len([line for line in lines if line.startswith("acknowledged")])
        check_broken_off(tmp_path, url, moves, acknowledged)
    assert killed >= kills / 4
    code, lines = run_child(tmp_path, url, seed, length, acknowledged, "none", 0)
    assert (code, lines[-1]) == (0, "finished")
    check_finished(tmp_path, url, moves)


def run_child(data_dir: Path, url: str, *arguments: object) -> tuple[int, list[str]]:
    program = [sys.executable, "-m", "tests.retrieval.ingest.moves_child", str(data_dir), url, *map(str, arguments)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode, done.stdout.splitlines()


def check_broken_off(data_dir: Path, url: str, moves: Sequence[Move], acknowledged: int) -> None:
    """What was acknowledged is there, each file is one of its versions as a whole, and the indexes agree."""
    with closing(Store.open(data_dir, url=url)) as store, closing(indexes(store)) as manager:
        vs = store.vector_stores.ensure(OWNER, "handbook").id
        files = store.attachments.page(OWNER, vs, limit=100).items
        assert "failed" not in {file.status for file in files}
        moving = {move.name for move in moves[acknowledged : acknowledged + 1]}
        known = {file.filename for file in files}
        assert known | moving == attached(moves[:acknowledged]).keys() | moving
        check_visible(store, vs, moves, acknowledged)
        assert manager.check() == []


def check_visible(store: Store, vs: str, moves: Sequence[Move], acknowledged: int) -> None:
    seen = sorted(texts(store, vs))
    for name in NAMES:
        of_file = [text for text in seen if text.startswith(name)]
        assert of_file in [sorted(rows) for rows in possible(moves, name, acknowledged)]


def check_finished(data_dir: Path, url: str, moves: Sequence[Move]) -> None:
    """Exactly what the moves come to, the originals too, and nothing is left in progress."""
    with closing(Store.open(data_dir, url=url)) as store, closing(indexes(store)) as manager:
        vs, there = store.vector_stores.ensure(OWNER, "handbook").id, attached(moves)
        assert sorted(texts(store, vs)) == sorted(text for rows in there.values() for text in rows)
        completed = store.attachments.page(OWNER, vs, "completed", limit=100).items
        last = {move.name: move.content for move in moves if move.kind == "put" and move.name in there}
        assert {file.filename: store.files.content(OWNER, file.file_id) for file in completed} == last
        assert store.queue.unfinished() == 0
        assert manager.check() == []


def indexes(store: Store) -> IndexManager:
    return IndexManager(store.changes, store.passages, store.data_dir, DIM)


async def test_what_a_killed_ingestor_held_is_its_next_starts_at_once(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.new_database()
    async with working(tmp_path / "one", url, lease=3600) as killed:
        await put_up(url, tmp_path, "a.txt", "alpha is stalled")
        await killed.until_said("stalled")
        await killed.kill()
    async with member(tmp_path / "one", url) as again:
        await until(again.is_idle, PATIENCE)
        assert await again.texts() == ["alpha is stalled"]
        assert await again.is_level()


async def test_what_a_killed_ingestor_held_is_anothers_when_its_lease_is_over(cluster: Cluster, tmp_path: Path) -> None:
    url, embedder, begun = cluster.new_database(), FakeEmbedder(), []
    embedder.before = lambda _: begun.append(time.time())
    async with working(tmp_path / "one", url, lease=3) as killed:
        await put_up(url, tmp_path, "a.txt", "alpha is stalled")
        await killed.until_said("stalled")
        async with member(tmp_path / "two", url, embedder) as other:
            assert await other.is_idle() is False
            await killed.kill()
            over = await asyncio.to_thread(other.store.queue.next_due)
            await until(other.is_idle, PATIENCE)
            assert over is not None
            assert begun[0] >= over
            assert await other.texts() == ["alpha is stalled"]


async def test_a_lease_is_renewed_by_who_lives_and_given_back_by_who_is_ended(cluster: Cluster, tmp_path: Path) -> None:
    url, embedder = cluster.new_database(), FakeEmbedder()
    async with working(tmp_path / "one", url, lease=3600) as slow:
        await put_up(url, tmp_path, "a.txt", "alpha is stalled")
        await slow.until_said("stalled")
        async with member(tmp_path / "two", url, embedder) as other:
            for _ in range(3):
                await until_renewed(other)
            assert embedder.embedded == []
            await slow.end()
            await until(other.is_idle, PATIENCE)
            assert len(embedder.embedded) == 1


async def until_renewed(other: Member) -> None:
    before = await asyncio.to_thread(other.store.queue.next_due)

    async def renewed() -> bool:
        return await asyncio.to_thread(other.store.queue.next_due) != before

    await until(renewed, PATIENCE)


async def put_up(url: str, folder: Path, name: str, content: str) -> None:
    """By somebody who does not ingest."""

    def put() -> None:
        with closing(Store.open(folder / "putting", url=url)) as store:
            file = store.files.add(OWNER, name, content.encode())
            store.attachments.attach(OWNER, store.vector_stores.ensure(OWNER, "handbook").id, file.id)

    await asyncio.to_thread(put)
