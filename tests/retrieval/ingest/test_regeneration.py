"""A store whose vector stores are made anew: killed at any point, and by two servers at once."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from retrieval.embedders import Embedders
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.worker import Ingestor
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.base.values import NamedStore
from retrieval.store.store import Store
from tests.databases import empty_database
from tests.retrieval.ingest.fake_embedder import OWNER, PACE, FakeEmbedder
from tests.retrieval.ingest.regeneration_child import NEW_DIM, RECIPE, NewEmbedder
from tests.retrieval.publishing import DIM
from tests.until import PATIENCE, until

ROOT = Path(__file__).resolve().parents[3]
# One passage each at 180 tokens, two at 100.
FILES = {f"{name}.txt": " ".join(f"{name}{i}" for i in range(150)) for name in ("alpha", "beta", "gamma", "delta")}
STATEMENTS = 150  # of a whole run, about


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """ "-": SQLite's file in the data folder."""
    if request.param == "sqlite":
        yield "-"
        return
    with empty_database("postgresql", tmp_path) as made:
        yield made.render_as_string(hide_password=False)


def opened(folder: Path, url: str) -> Store:
    return Store.open(folder, url=None if url == "-" else url)


async def fill(folder: Path, url: str) -> None:
    """By the embedder of before."""
    with (
        closing(opened(folder, url)) as store,
        closing(IndexManager(store.changes, store.passages, folder, DIM)) as manager,
    ):
        vs = store.vector_stores.create(OWNER, "handbook").id
        ingestor = Ingestor(store, manager, FakeEmbedder(), Tokenizer.load(), pace=PACE)
        await ingestor.start()
        for name, content in FILES.items():
            file = store.files.add(OWNER, name, content.encode())
            await ingestor.submit(OWNER, vs, file.id)
            assert (await ingestor.wait(OWNER, vs, file.id)).status == "completed"
        await ingestor.aclose()


def run_child(folder: Path, url: str, kind: str, point: int) -> int:
    program = [sys.executable, "-m", "tests.retrieval.ingest.regeneration_child", str(folder), url, kind, str(point)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


def is_new(folder: Path, url: str) -> bool:
    """Which generation is found; it is whole, nothing in it is of the other, and the indexes agree."""
    with closing(opened(folder, url)) as store, closing(IndexManager(store.changes, store.passages, folder)) as manager:
        (named,) = store.vector_stores.named(OWNER)
        assert named.space is not None
        new = named.space.dim == NEW_DIM
        assert _words_of_passages(store, named) == [100, 50] * len(FILES) if new else [150] * len(FILES)
        assert _dimensions(store, named) == {named.space.dim}
        files = store.attachments.page(OWNER, named.id, limit=100).items
        assert {file.filename: file.chunks for file in files if file.visible} == dict.fromkeys(FILES, 2 if new else 1)
        assert len(store.generations.of(OWNER)) <= 2
        assert manager.check() == []
    return new


def _words_of_passages(store: Store, named: NamedStore) -> list[int]:
    loaded = store.passages.load(OWNER, named, sorted(store.passages.keys(OWNER, named)))
    chunks = sorted((each.chunk for each in loaded.values()), key=lambda chunk: (chunk.filename, chunk.position))
    return [len(chunk.text.split()) for chunk in chunks]


def _dimensions(store: Store, named: NamedStore) -> set[int]:
    """Of the vectors that are found."""
    keys = sorted(store.passages.keys(OWNER, named))
    with store.database.read() as db:
        found = db.execute(text("SELECT chunk, length(vector) / 2 FROM vectors")).all()
    return {int(size) for key, size in found if key in keys}


@pytest.mark.slow
async def test_kill_9_while_it_is_made_anew_leaves_one_whole_generation(tmp_path: Path, url: str) -> None:
    await fill(tmp_path, url)
    rng, killed, ended = random.Random(12), 0, -9
    while ended and killed < 5:
        ended = run_child(tmp_path, url, "statement", rng.randint(1, STATEMENTS))
        killed += ended == -9
        is_new(tmp_path, url)
    assert killed >= 2
    assert run_child(tmp_path, url, "none", 0) == 0
    assert is_new(tmp_path, url)


@pytest.mark.slow
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.heavy)])
async def test_kill_9_at_every_statement_of_the_switch_leaves_the_one_or_the_other(
    tmp_path: Path, url: str, step: int
) -> None:
    await fill(tmp_path, url)
    seen, point = [], 1
    while not seen or not seen[-1]:
        assert run_child(tmp_path, url, "switch", point) in (0, -9)
        seen.append(is_new(tmp_path, url))
        point += step
    assert point > 8, "a switch has more statements than that"
    assert run_child(tmp_path, url, "none", 0) == 0
    assert is_new(tmp_path, url)


@pytest.mark.slow
async def test_two_servers_make_one_store_anew_once(tmp_path: Path) -> None:
    with empty_database("postgresql", tmp_path) as made:
        url = made.render_as_string(hide_password=False)
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        await fill(tmp_path / "one", url)
        ends = await asyncio.gather(
            *(asyncio.to_thread(run_child, tmp_path / name, url, "none", 0) for name in ("one", "two"))
        )
        assert ends == [0, 0]
        assert is_new(tmp_path / "one", url)
        assert is_new(tmp_path / "two", url)


async def test_one_upload_does_not_wait_for_what_is_made_anew(tmp_path: Path) -> None:
    """The worker that builds is held; an upload goes by on the others."""
    await fill(tmp_path, "-")
    with (
        closing(opened(tmp_path, "-")) as store,
        closing(IndexManager(store.changes, store.passages, tmp_path, NEW_DIM)) as manager,
    ):
        store.generations.begin(RECIPE, alone=True)
        (index_id,) = store.generations.building()
        store.generations.fill(index_id)
        old, new = FakeEmbedder(), NewEmbedder()
        new.gate.clear()
        embedders = Embedders(new, lambda _: old)
        embedders.need(["fake"])
        ingestor = Ingestor(store, manager, new, Tokenizer.load(), pace=PACE, embedders=embedders)
        await ingestor.start()
        await new.waiting.wait()
        (named,) = store.vector_stores.named(OWNER)
        for i in range(6):
            file = store.files.add(OWNER, f"{i}.txt", b"up")
            await ingestor.submit(OWNER, named.id, file.id)
            assert (await ingestor.wait(OWNER, named.id, file.id)).status == "completed"
        new.gate.set()
        await until(lambda: store.generations.lacking(index_id) == (6, 0), PATIENCE)
        await ingestor.aclose()
