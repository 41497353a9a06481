"""The derived indexes of every vector store (follow.py), kept level with the store by its change log."""

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from retrieval.indexes import registry
from retrieval.indexes.background import Background
from retrieval.indexes.base.following import ChangeFeed, Kind, PassageReader
from retrieval.indexes.consistency import Difference, compare
from retrieval.indexes.entries import Entries, Entry
from retrieval.indexes.follow import Index, Indexes, IndexFolder, clear
from retrieval.indexes.regrouping import Regrouping
from retrieval.store.base.values import (
    EmbedderMismatch,
    LogTrimmed,
    NotFound,
    StoreFull,
    StoreUnavailable,
)
from retrieval.threads import Threads

log = logging.getLogger("ragpod.indexes")

_OPENINGS = 4  # threads; those who want one vector store wait for one another
_TENDING = 2  # threads: a vector store that takes long does not keep the others waiting


class IndexManager:
    """Opens a vector store's indexes at their first use. Thread-safe; blocking: give it a thread near an event loop.

    store_id: of a generation of a vector store (NamedStore.index_id). dim: of the vectors of one that has none yet.
    embedder: the only one whose vectors will be searched; None takes each vector store as it is, and who searches knows
    whose vectors it has. kinds: of indexes; None: the registry's. max_open: vector stores with their indexes in memory.
    openings: threads for calls of `indexes` that may have to open them.
    """

    def __init__(
        self,
        changes: ChangeFeed,
        passages: PassageReader,
        data_dir: Path,
        dim: int | None = None,
        embedder: str | None = None,
        *,
        kinds: Sequence[Kind] | None = None,
        max_open: int = 64,
    ) -> None:
        self.dim = dim
        self.embedder = embedder
        self._kinds = registry.kinds() if kinds is None else kinds
        self._changes, self._passages = changes, passages
        self._folder = data_dir / "indexes"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._entries = Entries(max_open)
        self._background = Background(_TENDING)
        self.openings = Threads(_OPENINGS, "openings")
        self._regrouping = Regrouping()
        clear(self._folder, self._changes.store_ids())

    def indexes(self, store_id: str, head: int | None = None) -> Indexes:
        """For a search: as they are. What they lack of the log up to `head` (None: up to its end) is applied in the
        background; they are opened here, and are level then, where they are not open. No writer is waited for, and
        none that cannot be written keeps a search: see `behind`.

        Raises NotFound, EmbedderMismatch.
        """
        last = self._last(store_id) if head is None else head
        if (indexes := self._entries.used(store_id).indexes) is None:
            with self._entries.changing(store_id) as entry:
                indexes = entry.indexes or self._opened(store_id, entry)
                tend = entry.due or any(index.outgrown for index in indexes)
            if self._entries.above():
                self._background.soon(None, self._shrink)
        else:
            tend = indexes.applied < last
        if tend:
            self._background.soon(store_id, partial(self._tended, store_id))
        return indexes

    def behind(self, store_id: str, head: int) -> int:
        """Changes that the indexes lack, because one could not be written when it was last tried; 0 where they are only
        about to follow. Does not block.
        """
        entry = self._entries.get(store_id)
        if entry is None or not entry.stuck or (indexes := entry.indexes) is None:
            return 0
        return max(0, head - indexes.applied)

    def are_open(self, store_ids: Iterable[str]) -> bool:
        """Whether `indexes` has them at hand. Does not block."""
        entries = [self._entries.get(store_id) for store_id in store_ids]
        return all(entry is not None and entry.indexes is not None for entry in entries)

    def refresh(self, store_id: str) -> None:
        """Returns when every index has everything that the store had before the call. Raises NotFound."""
        last = self._last(store_id)
        if (indexes := self._entries.used(store_id).indexes) is None or indexes.applied < last:
            self._tended(store_id)
            self._shrink()

    def recalls(self) -> dict[str, float]:
        """Vector store -> lowest measured recall@10 of its indexes, of those in memory whose search is approximate."""
        open_now = [(store_id, entry.indexes) for store_id, entry in self._entries.all()]
        measured = {
            store_id: [recall for index in indexes if (recall := index.recall_at_10) is not None]
            for store_id, indexes in open_now
            if indexes is not None
        }
        return {store_id: min(recalls) for store_id, recalls in measured.items() if recalls}

    def forget(self, store_id: str) -> None:
        """Removes the indexes of a vector store that was deleted."""
        entry = self._entries.pop(store_id)
        with entry.lock:
            entry.indexes = None
            self._files(store_id).erase()

    def check(self, owner: str | None = None) -> list[Difference]:
        """Every passage of the store against every entry of the indexes. None: of all owners."""
        return [difference for store_id in self._changes.store_ids(owner) for difference in self._check(store_id)]

    def rebuild(self, store_id: str | None = None) -> None:
        """Makes the indexes anew from what is in the store; searches of that store wait meanwhile."""
        for each in self._changes.store_ids() if store_id is None else [store_id]:
            with self._entries.changing(each) as entry:
                entry.indexes = None
                self._files(each).erase()
                indexes = self._open(each, entry)
                regrouped = [index.regroup() for index in indexes if index.outgrown]
                if any(regrouped):
                    self._save(each, entry, indexes)
            self._told(each, entry)

    def scrub(self) -> None:
        """Writes the indexes anew that may hold deleted passages on disk; opens no others, and displaces none that are
        in use. Searches go on.
        """
        known = self._changes.store_ids()
        for gone in self._entries.besides(known):  # deleted by another process
            self.forget(gone)
        clear(self._folder, known)
        for store_id in known:
            with suppress(NotFound, EmbedderMismatch):
                self._scrub(store_id)

    def _scrub(self, store_id: str) -> None:
        files = self._files(store_id)
        entry = self._entries.get(store_id)
        if (entry is None or entry.indexes is None) and not files.has_removed_on_disk():
            return
        with self._entries.changing(store_id, use=False) as entry:
            indexes = self._open(store_id, entry)
            if files.has_removed(indexes):
                entry.saved_now(indexes, files.scrub(indexes))
        self._told(store_id, entry)
        self._shrink()

    def close(self) -> None:
        """Saves what is in memory only. The indexes can be opened again."""
        self.openings.close()
        self._background.close()
        self._regrouping.close()
        for store_id, entry in self._entries.pop_all():
            with entry.lock:
                self._put_away(store_id, entry)
                entry.indexes = None
            self._told(store_id, entry)

    def _files(self, store_id: str) -> IndexFolder:
        return IndexFolder(self._changes, self._passages, store_id, self._folder / store_id, self._kinds)

    def _shrink(self) -> None:
        """Puts away what is above the limit, but those that are being changed, or were used meanwhile."""
        for store_id, entry in self._entries.above():
            if not entry.lock.acquire(blocking=False):
                continue
            try:
                self._put_away(store_id, entry)
                if self._entries.pop_above(store_id):
                    entry.indexes = None
            finally:
                entry.lock.release()
            self._told(store_id, entry)

    def _put_away(self, store_id: str, entry: Entry) -> None:
        """On disk as it is in memory. Under its lock."""
        try:
            if entry.indexes is not None and entry.indexes.applied_in_memory != entry.saved:
                self._save_if_possible(store_id, entry, entry.indexes)
        except NotFound:
            self._files(store_id).erase()

    def _told(self, store_id: str, entry: Entry) -> None:
        """The log forgets what has been saved. Waits for other writers, so the lock, which a search may want that opens
        the indexes, is free by now. Where that cannot be written it forgets later, or reads a tail twice.
        """
        with entry.lock:
            applied, entry.forgettable = entry.forgettable, None
        if applied is None:
            return
        try:
            with suppress(NotFound):
                self._changes.acknowledge(store_id, applied)
        except (StoreFull, StoreUnavailable) as error:
            log.warning("what the indexes of %s have on disk cannot be told: %s", store_id, error)

    def _last(self, store_id: str) -> int:
        try:
            return self._changes.state(store_id).head
        except NotFound:
            self.forget(store_id)
            raise

    def _tended(self, store_id: str) -> Indexes:
        """Level with the store, saved and regrouped where that is due."""
        with self._entries.changing(store_id) as entry:
            indexes = self._open(store_id, entry)
            if entry.due:
                self._save_if_possible(store_id, entry, indexes)
            for index in indexes:
                self._regrouping.begin(store_id, index, partial(self._save_regrouped, store_id, entry, index))
        self._told(store_id, entry)
        return indexes

    def _opened(self, store_id: str, entry: Entry) -> Indexes:
        """For a search, under the entry's lock: as on disk where they get no further. Raises StoreUnavailable."""
        try:
            return self._open(store_id, entry)
        except (StoreFull, StoreUnavailable) as error:
            if entry.indexes is None:
                todo = "delete files or free the disk, and the next search makes them"
                raise StoreUnavailable(f"vector store {store_id!r} has no indexes yet ({error}): {todo}") from error
            log.warning("the indexes of %s stay as they are: %s", store_id, error)
            return entry.indexes

    def _open(self, store_id: str, entry: Entry) -> Indexes:
        """Level with the store. Raises StoreFull, StoreUnavailable where one cannot be written; they are open then, and
        all but that one are level.
        """
        dim, lexical = self._space_of(store_id)
        files = self._files(store_id)
        indexes = entry.indexes
        if indexes is None or not files.is_whole(indexes, dim, lexical=lexical):
            indexes = files.open(dim, lexical=lexical)
            entry.saved, entry.unsaved = indexes.applied_in_memory, 0
        try:
            entry.unsaved += files.catch_up(indexes)
        except LogTrimmed as error:  # others have long been told that nobody waits for it
            log.warning("%s: the indexes are made anew", error)
            indexes = files.open(dim, lexical=lexical)
            entry.saved, entry.unsaved = indexes.applied_in_memory, files.catch_up(indexes)
        except (StoreFull, StoreUnavailable):
            entry.indexes, entry.stuck = indexes, True
            raise
        entry.indexes, entry.stuck = indexes, False
        return indexes

    def _space_of(self, store_id: str) -> tuple[int, bool]:
        """Dimensions, and whether there are lexical weights. Raises EmbedderMismatch."""
        if (space := self._changes.state(store_id).space) is None:
            return self.dim or 1, False
        if self.embedder is not None and (self.dim, self.embedder) != (space.dim, space.embedder):
            raise EmbedderMismatch(
                f"vector store {store_id!r} holds vectors of {space}, "
                f"this server embeds with {self.embedder} ({self.dim} dimensions)"
            )
        return space.dim, space.lexical

    def _save(self, store_id: str, entry: Entry, indexes: Indexes) -> None:
        entry.saved_now(indexes, self._files(store_id).save(indexes))

    def _save_if_possible(self, store_id: str, entry: Entry, indexes: Indexes) -> None:
        """What is not on disk is in the log, which keeps it until it is told otherwise."""
        try:
            self._save(store_id, entry, indexes)
        except (StoreFull, StoreUnavailable) as error:
            log.warning("the indexes of %s cannot be saved yet: %s", store_id, error)

    def _save_regrouped(self, store_id: str, entry: Entry, index: Index) -> None:
        with entry.lock:
            if entry.indexes is not None and any(each is index for each in entry.indexes):
                self._save_if_possible(store_id, entry, entry.indexes)
        self._told(store_id, entry)

    def _check(self, store_id: str) -> list[Difference]:
        with self._entries.changing(store_id):
            indexes = self._tended(store_id)
            keys, seq = self._passages.visible_keys(store_id)
            while indexes.applied < seq:  # published between the two lines above
                indexes = self._tended(store_id)
                keys, seq = self._passages.visible_keys(store_id)
            each = sorted(indexes, key=lambda index: index.name)
            found = [compare(store_id, index.name, keys, index.keys()) for index in each]
        sources = [index.source for index in each if index.source is not None]
        bare = {source: tuple(self._passages.keys_without(store_id, source)) for source in sources}
        without = [Difference(store_id, source, missing=keys) for source, keys in bare.items() if keys]
        return [difference for difference in found if difference is not None] + without
