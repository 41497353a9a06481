"""The derived indexes of one vector store, on disk and in memory, and how they are filled from the store.

Folder of a vector store: each index's file, as dense.faiss, sparse.index (only where its embedder gives lexical
weights) and bm25/, with the log's seq that it has. A durable one is on disk after every change; the others are in
memory and saved now and then: the log's tail brings them up to date on opening.
"""

import logging
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from retrieval.indexes.base.atomic import written
from retrieval.indexes.base.following import ChangeFeed, FollowingIndex, Kind, PassageReader
from retrieval.indexes.base.frequencies import Frequencies
from retrieval.indexes.base.leg import Leg
from retrieval.store.base.values import STORE_PREFIX, StoreFull, StoreUnavailable
from retrieval.types import QueryVectors

log = logging.getLogger("ragpod.indexes")

_BATCH = 5000  # changes applied in one commit

Index = FollowingIndex[Any]
Wanted = TypeVar("Wanted", bound=Index)


@dataclass(frozen=True, slots=True)
class Indexes:
    """One vector store's, in the registry's order. dim: of its vectors."""

    each: tuple[Index, ...]
    dim: int

    def __iter__(self) -> Iterator[Index]:
        return iter(self.each)

    def __getitem__(self, wanted: type[Wanted]) -> Wanted:
        """Raises KeyError where the vector store has no such index."""
        for index in self.each:
            if isinstance(index, wanted):
                return index
        raise KeyError(wanted.name)

    @property
    def applied(self) -> int:
        """The change log's seq that all of them have."""
        return min(index.applied for index in self)

    @property
    def applied_in_memory(self) -> int:
        """The same of those that are on disk only when they are saved."""
        return min((index.applied for index in self if not index.durable), default=self.applied)

    @property
    def passages(self) -> int:
        return max(len(index) for index in self)

    def legs(self, query: QueryVectors) -> list[Leg]:
        """Of those that can be asked with this query."""
        return [leg for index in self if (leg := index.leg(query)) is not None]

    def frequencies(self, terms: Sequence[str]) -> Frequencies | None:
        """None where no index is one of terms."""
        return next((found for index in self if (found := index.frequencies(terms)) is not None), None)

    def holding(self, term: str, k: int, allowed: Collection[int] | None) -> list[int]:
        """k passages at most that hold the term. [] where no index is one of terms."""
        return next((found for index in self if (found := index.holding(term, k, allowed)) is not None), [])


class IndexFolder:
    """Of one vector store. Blocking, and not to be used from two threads at once. Methods raise NotFound."""

    def __init__(
        self, changes: ChangeFeed, passages: PassageReader, store_id: str, folder: Path, kinds: Sequence[Kind]
    ) -> None:
        self._changes, self._passages = changes, passages
        self._store_id = store_id
        self._folder = folder
        self._kinds = kinds

    def open(self, dim: int, *, lexical: bool) -> Indexes:
        """What is on disk; made anew where it is damaged, where the log does not reach back to it, or where it is ahead
        of the store's log. Raises StoreFull, StoreUnavailable.
        """
        with written():
            if not self._folder.is_dir():
                self._folder.unlink(missing_ok=True)  # a stray file in its place
                self._folder.mkdir()
            state = self._changes.state(self._store_id)
            reach = range(state.floor, state.head + 1)
            return Indexes(tuple(self._opened(kind, dim, reach) for kind in self._wanted(lexical=lexical)), dim)

    def is_whole(self, indexes: Indexes, dim: int, *, lexical: bool) -> bool:
        """Not where they were opened before the vector store's first passages, which brought more kinds of them, or
        vectors of another embedder than was expected.
        """
        return len(indexes.each) == len(self._wanted(lexical=lexical)) and indexes.dim == dim

    def _wanted(self, *, lexical: bool) -> list[Kind]:
        return [kind for kind in self._kinds if lexical or not kind.index.lexical]

    def _opened(self, kind: Kind, dim: int, reach: range) -> Index:
        path = self._folder / kind.index.file
        try:
            index = kind.open(path, dim)
        except ValueError as error:
            log.warning("%s; it is made anew", error)
            kind.index.erase(path)
            index = kind.open(path, dim)
        if index.applied not in reach:
            kind.index.erase(path)
            index = kind.open(path, dim)
            self._fill(index)
            index.save(path)
        return index

    def catch_up(self, indexes: Indexes) -> int:
        """Applies the log from each one's own seq; returns how many changes are not on disk yet.

        Raises StoreFull, StoreUnavailable where one cannot be written, and it stays as it was: the others are level.
        """
        unsaved, failed = 0, None
        for index in indexes:
            try:
                count = self._catch_up(index)
            except (StoreFull, StoreUnavailable) as error:
                failed = failed or error
            else:
                unsaved = max(unsaved, 0 if index.durable else count)
        if failed is not None:
            raise failed
        return unsaved

    def save(self, indexes: Indexes) -> dict[str, int]:
        """Writes what is in memory only; returns the seq that each then has on disk: what the log may forget."""
        applied = {index.name: index.applied for index in indexes}
        for index in indexes:
            index.save(self._folder / index.file)
        return applied

    def has_removed(self, indexes: Indexes) -> bool:
        """Whether a file of theirs may still hold a passage that was deleted."""
        return self._changes.has_removals(self._store_id) or any(index.has_removed for index in indexes)

    def has_removed_on_disk(self) -> bool:
        """The same, of those that are not open."""
        if not self._folder.is_dir():
            return False
        held = any(kind.index.removed_on_disk(self._folder / kind.index.file) for kind in self._kinds)
        return held or self._changes.has_removals(self._store_id)

    def scrub(self, indexes: Indexes) -> dict[str, int]:
        """Writes them anew, level with the store as they are, without what was deleted. Returns as `save`."""
        for index in indexes:
            if index.has_removed:
                keys, _ = self._passages.visible_keys(self._store_id)
                index.rewrite(index.payload(self._passages, batch) for batch in _batches(keys))
        return self.save(indexes)

    def erase(self) -> None:
        """Of a vector store whose indexes are not open."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _catch_up(self, index: Index) -> int:
        count = 0
        while changes := self._changes.after(self._store_id, index.applied, _BATCH):
            added = [change.key for change in changes if change.added]
            removed = [change.key for change in changes if not change.added]
            index.apply(changes[-1].seq, index.payload(self._passages, added), removed)
            count += len(changes)
        return count

    def _fill(self, index: Index) -> None:
        """Everything, into an empty index. The seq is told with the last batch, so a broken-off fill starts again."""
        keys, seq = self._passages.visible_keys(self._store_id)
        for batch in _batches(keys):
            index.apply(0, index.payload(self._passages, batch), [])
        index.apply(seq, index.payload(self._passages, []), [])


def clear(folder: Path, known: Collection[str]) -> None:
    """Removes the folders of vector stores that are gone; what is not such a folder is not ours."""
    for path in folder.iterdir():
        if path.name in known:
            continue
        if path.is_dir() and not path.is_symlink() and path.name.startswith(STORE_PREFIX):
            shutil.rmtree(path, ignore_errors=True)
        else:
            log.warning("%s is no vector store's: it is left as it is", path)


def _batches(keys: list[int]) -> Iterator[list[int]]:
    return (keys[first : first + _BATCH] for first in range(0, len(keys), _BATCH))
