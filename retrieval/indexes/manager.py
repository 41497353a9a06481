"""The derived indexes of every vector store (follow.py), kept level with the store by its change log."""

import logging
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.indexes.consistency import Difference, compare
from retrieval.indexes.dense.index import DenseConfig, DenseIndex
from retrieval.indexes.follow import Indexes, IndexFolder
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
    rebuild it). dense: how vectors are searched. max_open: vector stores with their indexes in memory.
    """

    def __init__(
        self,
        store: Store,
        data_dir: Path,
        dim: int | None = None,
        embedder: str | None = None,
        *,
        dense: DenseConfig | None = None,
        max_open: int = 64,
    ) -> None:
        self.dim = dim
        self.embedder = embedder
        self._max_open = max_open
        self._dense = dense or DenseConfig()
        self._store = store
        self._folder = data_dir / "indexes"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._guard = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._closing = threading.Event()
        self._regrouping: dict[str, threading.Thread] = {}
        for gone in {path.name for path in self._folder.iterdir()} - set(store.store_ids()):
            shutil.rmtree(self._folder / gone)

    def indexes(self, store_id: str) -> Indexes:
        """Level with the store, but for changes that someone is just applying. Raises NotFound, EmbedderMismatch."""
        return self._level(store_id, wait=False)

    def refresh(self, store_id: str) -> None:
        """Returns when every index has everything that the store had before the call. Raises NotFound."""
        self._level(store_id, wait=True)

    def recalls(self) -> dict[str, float]:
        """Vector store -> measured recall@10 of its dense index, of those in memory whose search is approximate."""
        with self._guard:
            open_now = [(store_id, entry.indexes) for store_id, entry in self._entries.items()]
        dense = {store_id: indexes.dense for store_id, indexes in open_now if indexes is not None}
        return {store_id: index.recall.at_10 for store_id, index in dense.items() if index.recall is not None}

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
                if indexes.dense.outgrown and indexes.dense.regroup():
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
        return IndexFolder(self._store, store_id, self._folder / store_id, self._dense)

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
                    self._regroup(store_id, entry, indexes.dense)
                    return indexes
            finally:
                entry.lock.release()

    def _open(self, store_id: str, entry: _Entry) -> Indexes:
        dim, lexical = self._space_of(store_id)
        files = self._files(store_id)
        indexes = entry.indexes
        if indexes is None or (lexical and indexes.sparse is None):  # opened before its first passages
            indexes = files.open(dim, lexical=lexical)
            entry.saved, entry.unsaved = indexes.applied_in_memory, 0
        entry.unsaved += files.catch_up(indexes)
        entry.indexes = indexes
        if entry.unsaved > max(_UNSAVED_AT_LEAST, len(indexes.dense) // _UNSAVED_SHARE):
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

    def _regroup(self, store_id: str, entry: _Entry, dense: DenseIndex) -> None:
        """In a thread of its own, where it is due; an exact search answers meanwhile, or the lists that there are."""
        with self._guard:
            if store_id in self._regrouping or not dense.outgrown:
                return
            arguments = (store_id, entry, dense, self._closing.is_set)
            thread = threading.Thread(target=self._regroup_and_save, args=arguments, name="regroup", daemon=True)
            self._regrouping[store_id] = thread
        thread.start()

    def _regroup_and_save(self, store_id: str, entry: _Entry, dense: DenseIndex, stopped: Callable[[], bool]) -> None:
        try:
            if not dense.regroup(stopped):
                return
            with entry.lock:
                if entry.indexes is not None and entry.indexes.dense is dense:
                    self._save(store_id, entry, entry.indexes)
        except NotFound:
            log.info("vector store %s was deleted while its vectors were regrouped", store_id)
        except Exception:  # whatever it is, searches go on as they were
            log.exception("the vectors of %s could not be regrouped", store_id)
        finally:
            with self._guard:
                del self._regrouping[store_id]

    def _check(self, store_id: str) -> list[Difference]:
        with self._entry(store_id).lock:
            indexes = self._level(store_id, wait=True)
            keys, seq = self._store.visible_keys(store_id)
            while indexes.applied < seq:  # published between the two lines above
                indexes = self._level(store_id, wait=True)
                keys, seq = self._store.visible_keys(store_id)
            found = [compare(store_id, name, keys, index.keys()) for name, index in indexes]
        if bare := self._store.keys_without(store_id, "vectors"):
            found.append(Difference(store_id, "vectors", missing=tuple(bare)))
        if indexes.sparse is not None and (bare := self._store.keys_without(store_id, "lexical_weights")):
            found.append(Difference(store_id, "lexical_weights", missing=tuple(bare)))
        return [difference for difference in found if difference is not None]
