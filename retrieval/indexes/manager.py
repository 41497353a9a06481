"""The derived indexes of every vector store (follow.py), kept level with the store by its change log."""

import logging
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.indexes import registry
from retrieval.indexes.base.following import Kind
from retrieval.indexes.consistency import Difference, compare
from retrieval.indexes.follow import Index, Indexes, IndexFolder
from retrieval.store.store import EmbedderMismatch, NotFound, Store

log = logging.getLogger("ragpod.indexes")

_UNSAVED_AT_LEAST, _UNSAVED_SHARE = 1024, 8  # what is in memory is written when more than 1/8 of it is new


@dataclass(slots=True)
class _Entry:
    """A vector store's indexes. `lock` is held by whoever opens or changes them; searches do not take it."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    indexes: Indexes | None = None
    saved: int = 0  # the seq that what is in memory has on disk
    unsaved: int = 0  # changes since


class IndexManager:
    """Opens a vector store's indexes at their first use. Thread-safe; blocking: give it a thread near an event loop.

    dim, embedder: of the vectors that will be searched with; None takes each vector store as it is (to check or
    rebuild it). kinds: of indexes; None: the registry's. max_open: vector stores with their indexes in memory.
    """

    def __init__(
        self,
        store: Store,
        data_dir: Path,
        dim: int | None = None,
        embedder: str | None = None,
        *,
        kinds: Sequence[Kind] | None = None,
        max_open: int = 64,
    ) -> None:
        self.dim = dim
        self.embedder = embedder
        self._max_open = max_open
        self._kinds = registry.kinds() if kinds is None else kinds
        self._store = store
        self._folder = data_dir / "indexes"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._guard = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._closing = threading.Event()
        self._regrouping: dict[tuple[str, str], threading.Thread] = {}  # by vector store and index
        for gone in {path.name for path in self._folder.iterdir()} - set(store.store_ids()):
            shutil.rmtree(self._folder / gone)

    def indexes(self, store_id: str) -> Indexes:
        """Level with the store, but for changes that someone is just applying. Raises NotFound, EmbedderMismatch."""
        return self._level(store_id, wait=False)

    def refresh(self, store_id: str) -> None:
        """Returns when every index has everything that the store had before the call. Raises NotFound."""
        self._level(store_id, wait=True)

    def recalls(self) -> dict[str, float]:
        """Vector store -> lowest measured recall@10 of its indexes, of those in memory whose search is approximate."""
        with self._guard:
            open_now = [(store_id, entry.indexes) for store_id, entry in self._entries.items()]
        measured = {
            store_id: [recall for index in indexes if (recall := index.recall_at_10) is not None]
            for store_id, indexes in open_now
            if indexes is not None
        }
        return {store_id: min(recalls) for store_id, recalls in measured.items() if recalls}

    def forget(self, store_id: str) -> None:
        """Removes the indexes of a vector store that was deleted."""
        with self._guard:
            entry = self._entries.pop(store_id, None) or _Entry()
        with entry.lock:
            entry.indexes = None
            self._files(store_id).erase()

    def check(self, owner: str | None = None) -> list[Difference]:
        """Every passage of the store against every entry of the indexes. None: of all owners."""
        return [difference for store_id in self._store.store_ids(owner) for difference in self._check(store_id)]

    def rebuild(self, store_id: str | None = None) -> None:
        """Makes the indexes anew from what is in the store; searches of that store wait meanwhile."""
        for each in self._store.store_ids() if store_id is None else [store_id]:
            with (entry := self._entry(each)).lock:
                entry.indexes = None
                self._files(each).erase()
                indexes = self._open(each, entry)
                regrouped = [index.regroup() for index in indexes if index.outgrown]
                if any(regrouped):
                    self._save(each, entry, indexes)

    def scrub(self) -> None:
        """Writes the indexes anew that may hold deleted passages on disk. Searches go on."""
        for store_id in self._store.store_ids():
            with suppress(NotFound, EmbedderMismatch), (entry := self._entry(store_id)).lock:
                indexes = self._open(store_id, entry)
                if (files := self._files(store_id)).has_removed(indexes):
                    files.scrub(indexes)
                    entry.saved, entry.unsaved = indexes.applied_in_memory, 0

    def close(self) -> None:
        """Saves what is in memory only. The indexes can be opened again."""
        self._closing.set()
        for thread in list(self._regrouping.values()):
            thread.join()
        self._closing = threading.Event()
        with self._guard:
            entries, self._entries = self._entries, OrderedDict()
        for store_id, entry in entries.items():
            self._put_away(store_id, entry)

    def _files(self, store_id: str) -> IndexFolder:
        return IndexFolder(self._store, store_id, self._folder / store_id, self._kinds)

    def _entry(self, store_id: str) -> _Entry:
        """The vector store's own; the least lately used one above the limit is put away, unless it is in use."""
        idle = None
        with self._guard:
            entry = self._entries.setdefault(store_id, _Entry())
            self._entries.move_to_end(store_id)
            oldest_id, oldest = next(iter(self._entries.items()))
            if len(self._entries) > self._max_open and oldest.lock.acquire(blocking=False):
                idle = self._entries.pop(oldest_id)
        if idle is not None:
            self._put_away(oldest_id, idle)
            idle.lock.release()
        return entry

    def _put_away(self, store_id: str, entry: _Entry) -> None:
        with entry.lock:
            try:
                if entry.indexes is not None and entry.indexes.applied_in_memory != entry.saved:
                    self._save(store_id, entry, entry.indexes)
            except NotFound:
                self._files(store_id).erase()
            entry.indexes = None

    def _level(self, store_id: str, *, wait: bool) -> Indexes:
        """Without `wait`, a search that meets someone else's change in progress goes on with what there is."""
        try:
            last = self._store.last_change(store_id)
        except NotFound:
            self.forget(store_id)
            raise
        while True:
            entry = self._entry(store_id)
            if (indexes := entry.indexes) is not None:
                if indexes.applied >= last:
                    return indexes
                if not entry.lock.acquire(blocking=wait):
                    return indexes
            else:
                entry.lock.acquire()
            try:
                if self._entries.get(store_id) is entry:  # not put away while we waited
                    indexes = self._open(store_id, entry)
                    for index in indexes:
                        self._regroup(store_id, entry, index)
                    return indexes
            finally:
                entry.lock.release()

    def _open(self, store_id: str, entry: _Entry) -> Indexes:
        dim, lexical = self._space_of(store_id)
        files = self._files(store_id)
        indexes = entry.indexes
        if indexes is None or not files.is_whole(indexes, lexical=lexical):
            indexes = files.open(dim, lexical=lexical)
            entry.saved, entry.unsaved = indexes.applied_in_memory, 0
        entry.unsaved += files.catch_up(indexes)
        entry.indexes = indexes
        if entry.unsaved > max(_UNSAVED_AT_LEAST, indexes.passages // _UNSAVED_SHARE):
            self._save(store_id, entry, indexes)
        return indexes

    def _space_of(self, store_id: str) -> tuple[int, bool]:
        """Dimensions, and whether there are lexical weights. Raises EmbedderMismatch."""
        if (space := self._store.space_of(store_id)) is None:
            return self.dim or 1, False
        if self.dim not in (None, space.dim) or self.embedder not in (None, space.embedder):
            raise EmbedderMismatch(
                f"vector store {store_id!r} holds vectors of {space}, "
                f"this server embeds with {self.embedder or 'a model'} ({self.dim} dimensions)"
            )
        return space.dim, space.lexical

    def _save(self, store_id: str, entry: _Entry, indexes: Indexes) -> None:
        self._files(store_id).save(indexes)
        entry.saved, entry.unsaved = indexes.applied_in_memory, 0

    def _regroup(self, store_id: str, entry: _Entry, index: Index) -> None:
        """In a thread of its own, where it is due; the index answers meanwhile as it did."""
        with self._guard:
            if (store_id, index.name) in self._regrouping or not index.outgrown:
                return
            arguments = (store_id, entry, index, self._closing.is_set)
            thread = threading.Thread(target=self._regroup_and_save, args=arguments, name="regroup", daemon=True)
            self._regrouping[store_id, index.name] = thread
        thread.start()

    def _regroup_and_save(self, store_id: str, entry: _Entry, index: Index, stopped: Callable[[], bool]) -> None:
        try:
            if not index.regroup(stopped):
                return
            with entry.lock:
                if entry.indexes is not None and any(each is index for each in entry.indexes):
                    self._save(store_id, entry, entry.indexes)
        except NotFound:
            log.info("vector store %s was deleted while its %s index was regrouped", store_id, index.name)
        except Exception:  # whatever it is, searches go on as they were
            log.exception("the %s index of %s could not be regrouped", index.name, store_id)
        finally:
            with self._guard:
                del self._regrouping[store_id, index.name]

    def _check(self, store_id: str) -> list[Difference]:
        with self._entry(store_id).lock:
            indexes = self._level(store_id, wait=True)
            keys, seq = self._store.visible_keys(store_id)
            while indexes.applied < seq:  # published between the two lines above
                indexes = self._level(store_id, wait=True)
                keys, seq = self._store.visible_keys(store_id)
            each = sorted(indexes, key=lambda index: index.name)
            found = [compare(store_id, index.name, keys, index.keys()) for index in each]
        sources = [index.source for index in each if index.source is not None]
        bare = {source: tuple(self._store.keys_without(store_id, source)) for source in sources}
        without = [Difference(store_id, source, missing=keys) for source, keys in bare.items() if keys]
        return [difference for difference in found if difference is not None] + without
