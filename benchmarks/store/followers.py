"""Two writers and two followers of one database: does every follower end with the same passages, and how far behind?

    python -m benchmarks.store.followers [--seconds 300] [--postgresql URL]

SQLite: four threads of the process that owns the file. PostgreSQL: four processes, each with a data folder of its own,
in a schema that is dropped afterwards. Writers publish, replace and delete files of 1 to 20 passages with synthetic
vectors in the same two vector stores, and take from one queue. Each follower keeps real indexes by an IndexManager of
its own, and beside it replays the log under a cursor of its own.

changes: entries of the log. lag: entries by which a follower's indexes were behind when it looked. gaps: seqs that did
not follow the one before. differences: passages by which indexes (IndexManager.check) or replay differ from the store
once the writers have ended. given_up: files that the other writer replaced or deleted meanwhile. conflicts: deadlocks
and the like. Last line: JSON.
"""

import argparse
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import note, options, report
from benchmarks.store.schemas import schema
from benchmarks.store.writing import DIM, EMBEDDER, OWNER, Writer
from retrieval.indexes.manager import IndexManager
from retrieval.store.changes import Changes
from retrieval.store.store import Store

PAUSE = 0.02  # seconds between a follower's looks
AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Row:
    """lag: seqs. per second: of the writers' time."""

    database: str
    seconds: float
    published: int
    replaced: int
    deleted: int
    given_up: int
    conflicts: int
    changes: int
    changes_per_second: float
    looks: int
    lag_median: float
    lag_most: int
    gaps: int
    differences: int


@dataclass(frozen=True, slots=True)
class Followed:
    lags: list[int]
    gaps: int
    differences: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process finds the store. until: time.time()."""

    url: str
    folder: Path
    store_ids: tuple[str, ...]
    until: float


class Follower:
    """name: of its cursors, besides those of the data folder's own indexes."""

    def __init__(self, store: Store, store_ids: Sequence[str], folder: Path, name: str) -> None:
        self._passages = store.passages
        self._store_ids = store_ids
        parts = store.database, store.clock, store.changes._uses
        self._changes, self._replay = Changes(*parts, name), Changes(*parts, f"{name} replay")
        self._manager = IndexManager(self._changes, store.passages, folder, DIM, EMBEDDER)
        self._seq = dict.fromkeys(store_ids, 0)
        self._held: dict[str, set[int]] = {store_id: set() for store_id in store_ids}
        self._gaps = 0
        self._lags: list[int] = []
        for store_id in store_ids:  # from here on the log is kept for it
            self._manager.refresh(store_id)
            self._changes.acknowledge(store_id, {"dense": 0})
            self._replay.acknowledge(store_id, {"replay": 0})

    def follow(self, until: float) -> Followed:
        """until: when the writers end; then what is left."""
        while time.time() < until:
            for store_id in self._store_ids:
                head = self._changes.state(store_id).head
                self._lags.append(head - self._manager.indexes(store_id, 0).applied)
                self._manager.refresh(store_id)
                self._replayed(store_id)
            time.sleep(PAUSE)
        time.sleep(2.0)  # a transaction that was begun in time
        for store_id in self._store_ids:
            self._manager.refresh(store_id)
            self._replayed(store_id)
        differences = self._differences()
        self._manager.close()
        return Followed(self._lags, self._gaps, differences)

    def _replayed(self, store_id: str) -> None:
        held = self._held[store_id]
        while changes := self._replay.after(store_id, self._seq[store_id], AT_ONCE):
            for change in changes:
                self._gaps += change.seq != self._seq[store_id] + 1
                self._seq[store_id] = change.seq
                (held.add if change.added else held.remove)(change.key)
        self._replay.acknowledge(store_id, {"replay": self._seq[store_id]})

    def _differences(self) -> int:
        found = sum(len(each.missing) + len(each.extra) + len(each.doubled) for each in self._manager.check())
        for store_id, held in self._held.items():
            found += len(held.symmetric_difference(self._passages.visible_keys(store_id)[0]))
        return found


def written(place: Place, number: int) -> Counter[str]:
    """In a process of its own, as the next one."""
    with closing(Store.open(place.folder, url=place.url)) as store:
        return Writer(store, place.store_ids, number).write(place.until)


def followed(place: Place, number: int) -> Followed:
    with closing(Store.open(place.folder, url=place.url)) as store:
        return Follower(store, place.store_ids, place.folder, f"follower {number}").follow(place.until)


def measured(name: str, folder: Path, url: str | None, seconds: float) -> Row:
    with closing(Store.open(folder / "store", url=url)) as store:
        store_ids = tuple(store.vector_stores.create(OWNER, name).id for name in ("one", "two"))
        until = time.time() + seconds + (0 if url is None else 5)  # processes take a while to begin
        executor, calls = _calls(store, store_ids, folder, url, until)
        with executor:
            running: list[Future[Any]] = [executor.submit(call, *arguments) for call, *arguments in calls]
            results = [future.result() for future in running]
        heads = sum(store.changes.state(store_id).head for store_id in store_ids)
    writers, followers = results[:2], results[2:]
    counts = sum((Counter(each) for each in writers), Counter[str]())
    lags = [lag for each in followers for lag in each.lags]
    return Row(
        name,
        seconds,
        counts["published"],
        counts["replaced"],
        counts["deleted"],
        counts["given up"],
        counts["conflicts"],
        heads,
        round(heads / seconds, 1),
        len(lags),
        median(lags),
        max(lags),
        sum(each.gaps for each in followers),
        sum(each.differences for each in followers),
    )


def _calls(
    store: Store, store_ids: tuple[str, ...], folder: Path, url: str | None, until: float
) -> tuple[Executor, list[tuple[Callable[..., Any], Any, Any]]]:
    """Two writers, two followers, and what runs them."""
    if url is None:
        writers = [Writer(store, store_ids, number) for number in (0, 1)]
        followers = [Follower(store, store_ids, folder / f"{number}", f"follower {number}") for number in (2, 3)]
        each = [(Writer.write, writer, until) for writer in writers]
        return ThreadPoolExecutor(4), [*each, *((Follower.follow, follower, until) for follower in followers)]
    places = [Place(url, folder / f"{number}", store_ids, until) for number in range(4)]
    spawn = multiprocessing.get_context("spawn")
    calls = (written, written, followed, followed)
    return ProcessPoolExecutor(4, spawn), [
        (call, place, number) for number, (call, place) in enumerate(zip(calls, places, strict=True))
    ]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--postgresql", metavar="URL", help="postgresql+psycopg://postgres@127.0.0.1/test")
    given: argparse.Namespace = parser.parse_args()
    seconds = 3 if given.small else given.seconds
    rows = []
    for name in ["SQLite", "PostgreSQL"] if given.postgresql else ["SQLite"]:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            url = None
            if name == "PostgreSQL":
                url = stack.enter_context(schema(given.postgresql)).render_as_string(hide_password=False)
            rows.append(measured(name, folder, url, seconds))
            note(rows[-1])
    report("followers", given, rows)


if __name__ == "__main__":
    main()
