"""What no search waits for: the log's tail, saving, putting away; and what the start and the upkeep leave alone."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from retrieval.indexes.bm25 import Bm25Index
from retrieval.indexes.manager import IndexManager
from retrieval.store.store import Store
from tests.retrieval.publishing import DIM, passages, publish
from tests.retrieval.watching import before
from tests.until import PATIENCE, until

SECONDS = 60


class Gate:
    """Indexes get no terms while it is closed. readers: the threads that asked for them."""

    def __init__(self, store: Store) -> None:
        self._open = threading.Event()
        self._open.set()
        self.readers: list[threading.Thread] = []
        before(store.passages, "terms", self._pass)

    def _pass(self, _: Sequence[int]) -> None:
        self.readers.append(threading.current_thread())
        assert self._open.wait(2 * PATIENCE)

    @contextmanager
    def closed(self) -> Iterator[None]:
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store.open(tmp_path)) as opened:
        yield opened


@pytest.fixture
def gate(store: Store) -> Gate:
    return Gate(store)


@pytest.fixture
def manager(store: Store, tmp_path: Path) -> Iterator[IndexManager]:
    opened = IndexManager(store.changes, store.passages, tmp_path, DIM, max_open=2)
    yield opened
    opened.close()


@pytest.fixture
def vs(store: Store) -> str:
    vs = store.vector_stores.create("ann", "handbook").id
    publish(store, vs, "a.txt", ["alpha", "beta"])
    return vs


def hits(store: Store, manager: IndexManager, vs: str, word: str) -> list[str]:
    """As a search finds them: what is visible no longer is dropped when passages are loaded."""
    keys = [hit.key for hit in manager.indexes(vs)[Bm25Index].search([word], 10)]
    return [passage.chunk.text for passage in passages(store, vs, keys).values()]


async def test_the_search_that_notices_a_publish_does_not_apply_it(
    store: Store, gate: Gate, manager: IndexManager, vs: str
) -> None:
    assert hits(store, manager, vs, "alpha") == ["alpha"]  # opened, by the search itself
    publish(store, vs, "b.txt", ["gamma"])
    gate.readers.clear()
    with gate.closed():
        for _ in range(3):  # in this thread: it would hang
            assert hits(store, manager, vs, "alpha") == ["alpha"]
            assert hits(store, manager, vs, "gamma") == []
    await until(lambda: hits(store, manager, vs, "gamma") == ["gamma"], PATIENCE)
    assert threading.current_thread() not in gate.readers
    assert manager.check() == []


def test_what_was_deleted_is_gone_before_the_indexes_know(
    store: Store, gate: Gate, manager: IndexManager, vs: str
) -> None:
    other = publish(store, vs, "b.txt", ["alpha too"])
    assert sorted(hits(store, manager, vs, "alpha")) == ["alpha", "alpha too"]
    store.attachments.detach("ann", vs, other.file_id)
    with gate.closed():
        assert hits(store, manager, vs, "alpha") == ["alpha"]


def test_after_a_refresh_everything_is_found(store: Store, manager: IndexManager, vs: str) -> None:
    """Which is what an ingestor waits for before it says that a file is completed."""
    hits(store, manager, vs, "alpha")
    for i in range(10):
        publish(store, vs, f"{i}.txt", [f"word{i}"])
        manager.refresh(vs)
        assert hits(store, manager, vs, f"word{i}") == [f"word{i}"]


async def test_what_fails_in_the_background_is_logged_and_tried_again(
    store: Store, manager: IndexManager, vs: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hits(store, manager, vs, "alpha")
    publish(store, vs, "b.txt", ["gamma"])

    def fails(_: Sequence[int]) -> list[tuple[int, str]]:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store.passages, "terms", fails)
        assert hits(store, manager, vs, "gamma") == []
        await until(lambda: "no space left on device" in caplog.text, PATIENCE)
    await until(lambda: hits(store, manager, vs, "gamma") == ["gamma"], PATIENCE)


async def test_neither_opening_nor_putting_away_waits_for_a_writer(store: Store, tmp_path: Path, vs: str) -> None:
    """Of stores with a long tail of the log, which are to be saved, and the log trimmed."""
    names = [store.vector_stores.create("ann", f"s{i}").id for i in range(4)]
    for name in names:
        publish(store, name, "a.txt", [f"word{i}" for i in range(1100)])
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM, max_open=2)
    with ThreadPoolExecutor(1) as pool, store.database.write():  # where a read waits, the write ends first
        for name in [*names, *names]:
            assert pool.submit(hits, store, manager, name, "word7").result(SECONDS) == ["word7"]
    await until(lambda: sum(store.changes.state(name).floor > 0 for name in names) == len(names), PATIENCE)
    manager.close()


def test_a_stray_file_does_not_stop_the_start(store: Store, tmp_path: Path, vs: str) -> None:
    folder = tmp_path / "indexes"
    (folder / "vs_gone").mkdir(parents=True)
    (folder / "vs_gone" / "dense.faiss").write_bytes(b"vectors of a store that was deleted")
    (folder / ".DS_Store").write_bytes(b"not ours")
    (folder / "vs_file").write_bytes(b"not ours")
    (folder / "lost+found").mkdir()
    (folder / "vs_link").symlink_to(tmp_path)
    (folder / vs).write_bytes(b"where the folder of a vector store is to be")
    manager = IndexManager(store.changes, store.passages, tmp_path, DIM)
    assert {path.name for path in folder.iterdir()} == {".DS_Store", "vs_file", "lost+found", "vs_link", vs}
    assert hits(store, manager, vs, "alpha") == ["alpha"]
    assert (tmp_path / "ragpod.db").exists()
    manager.close()


def test_a_scrub_opens_what_has_deleted_passages_and_leaves_the_hot_ones_open(
    store: Store, manager: IndexManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    hot, clean, dirty = ([store.vector_stores.create("ann", f"{kind}{i}").id for i in range(2)] for kind in "hcd")
    files = [publish(store, name, "a.txt", ["alpha", "beta"]) for name in (*hot, *clean, *dirty)]
    for name in (*clean, *dirty):
        manager.refresh(name)
    manager.close()  # on disk, whole, and no longer open
    for name, file in zip(dirty, files[-2:], strict=True):
        publish(store, name, "b.txt", ["gamma"])
        store.attachments.detach("ann", name, file.file_id)
    held = [manager.indexes(name) for name in hot]
    opened: list[str] = []
    monkeypatch.setattr(manager, "_space_of", lambda name: opened.append(name) or (DIM, False))
    manager.scrub()
    assert set(opened) == {*hot, *dirty}
    assert all(manager.indexes(name) is each for name, each in zip(hot, held, strict=True))
    assert len(manager._entries.all()) == 2
    assert not any(store.changes.has_removals(name) for name in dirty)
    opened.clear()
    manager.scrub()
    assert set(opened) <= {*hot}
