"""The derived indexes of one vector store, on disk and in memory, and how they are filled from the store.

Folder of a vector store: dense.faiss, sparse.index (only where its embedder gives lexical weights) and bm25/, each with
the log's seq that it has. BM25 is on disk after every change; the others are in memory and saved now and then: the
log's tail brings them up to date on opening.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from retrieval.indexes.bm25 import Bm25Index
from retrieval.indexes.dense.index import DenseConfig, DenseIndex
from retrieval.indexes.sparse.index import SparseIndex
from retrieval.store.store import Store

log = logging.getLogger("ragpod.indexes")

_BATCH = 5000  # changes applied in one commit

Index = DenseIndex | Bm25Index | SparseIndex
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Indexes:
    """One vector store's. sparse: None where its embedder gives no lexical weights."""

    dense: DenseIndex
    bm25: Bm25Index
    sparse: SparseIndex | None = None

    def __iter__(self) -> Iterator[tuple[str, Index]]:
        yield "bm25", self.bm25
        yield "dense", self.dense
        if self.sparse is not None:
            yield "sparse", self.sparse

    @property
    def applied(self) -> int:
        """The change log's seq that all of them have."""
        return min(index.applied for _, index in self)

    @property
    def applied_in_memory(self) -> int:
        """The same of those that are on disk only when they are saved."""
        return min(index.applied for name, index in self if name != "bm25")


class IndexFolder:
    """Of one vector store. Blocking, and not to be used from two threads at once. Methods raise NotFound."""

    def __init__(self, store: Store, store_id: str, folder: Path, dense: DenseConfig) -> None:
        self._store = store
        self._store_id = store_id
        self._folder = folder
        self._config = dense

    def open(self, dim: int, *, lexical: bool) -> Indexes:
        """What is on disk; made anew where it is damaged, where the log does not reach back to it, or where it is ahead
        of the store's log.
        """
        self._folder.mkdir(exist_ok=True)
        floor, last = self._store.log_floor(self._store_id), self._store.last_change(self._store_id)
        reach = range(floor, last + 1)
        bm25_folder, dense_file, sparse_file = (self._folder / name for name in ("bm25", "dense.faiss", "sparse.index"))

        bm25 = self._bm25(bm25_folder)
        if bm25.applied not in reach:
            Bm25Index.erase(bm25_folder)
            bm25 = Bm25Index(bm25_folder)
            self._fill(bm25)
        dense = _loaded(lambda: DenseIndex.load(dense_file, dim, self._config), lambda: DenseIndex(dim, self._config))
        if dense.applied not in reach:
            dense = DenseIndex(dim, self._config)
            self._fill(dense)
            dense.save(dense_file)
        if not lexical:
            return Indexes(dense, bm25)
        sparse = _loaded(lambda: SparseIndex.load(sparse_file), SparseIndex)
        if sparse.applied not in reach:
            sparse = SparseIndex()
            self._fill(sparse)
            sparse.save(sparse_file)
        return Indexes(dense, bm25, sparse)

    def _bm25(self, folder: Path) -> Bm25Index:
        try:
            return Bm25Index(folder)
        except ValueError as error:
            log.warning("%s; it is made anew", error)
            Bm25Index.erase(folder)
            return Bm25Index(folder)

    def catch_up(self, indexes: Indexes) -> int:
        """Applies the log from each one's own seq; returns how many changes are not on disk yet."""
        self._catch_up(indexes.bm25)
        return max(self._catch_up(index) for name, index in indexes if name != "bm25")

    def save(self, indexes: Indexes) -> None:
        """Writes what is in memory only, and trims the log that all then have on disk."""
        indexes.dense.save(self._folder / "dense.faiss")
        if indexes.sparse is not None:
            indexes.sparse.save(self._folder / "sparse.index")
        self._store.trim_changes(self._store_id, indexes.applied)

    def has_removed(self, indexes: Indexes) -> bool:
        """Whether a file of theirs may still hold a passage that was deleted."""
        return self._store.has_removals(self._store_id) or indexes.bm25.has_removed

    def scrub(self, indexes: Indexes) -> None:
        """Writes them anew, level with the store as they are, without what was deleted."""
        if indexes.bm25.has_removed:
            keys, _ = self._store.visible_keys(self._store_id)
            indexes.bm25.rewrite(self._store.index_terms(batch) for batch in _batches(keys))
        self.save(indexes)

    def erase(self) -> None:
        """Of a vector store whose indexes are not open."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _catch_up(self, index: Index) -> int:
        count = 0
        while changes := self._store.changes(self._store_id, index.applied, _BATCH):
            added = [change.key for change in changes if change.added]
            removed = [change.key for change in changes if not change.added]
            self._apply(index, changes[-1].seq, added, removed)
            count += len(changes)
        return count

    def _fill(self, index: Index) -> None:
        """Everything, into an empty index. The seq is told with the last batch, so a broken-off fill starts again."""
        keys, seq = self._store.visible_keys(self._store_id)
        for batch in _batches(keys):
            self._apply(index, 0, batch, [])
        self._apply(index, seq, [], [])

    def _apply(self, index: Index, seq: int, added: list[int], removed: list[int]) -> None:
        match index:
            case DenseIndex():
                index.apply(seq, *self._store.index_vectors(added, index.dim), removed)
            case Bm25Index():
                index.apply(seq, self._store.index_terms(added), removed)
            case SparseIndex():
                index.apply(seq, self._store.index_weights(added), removed)


def _batches(keys: list[int]) -> Iterator[list[int]]:
    return (keys[first : first + _BATCH] for first in range(0, len(keys), _BATCH))


def _loaded(load: Callable[[], T], new: Callable[[], T]) -> T:
    """A new one where there is nothing, or nothing that can be read."""
    try:
        return load()
    except FileNotFoundError:
        return new()
    except ValueError as error:
        log.warning("%s; it is made anew", error)
        return new()
