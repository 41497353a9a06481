"""The vector stores whose indexes are in memory, in the order of their last use."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from retrieval.indexes.follow import Indexes

_UNSAVED_AT_LEAST, _UNSAVED_SHARE = 1024, 8  # what is in memory is written when more than 1/8 of it is new


@dataclass(slots=True)
class Entry:
    """A vector store's indexes. `lock`: of whoever opens or changes them; a search in open ones does not take it.

    saved: the seq that what is in memory has on disk. unsaved: changes since. forgettable: the seq that each index has
    on disk, where the log is still to be told. stuck: one of them could not be written when it was to follow the log.
    """

    lock: threading.RLock = field(default_factory=threading.RLock)
    indexes: Indexes | None = None
    saved: int = 0
    unsaved: int = 0
    forgettable: Mapping[str, int] | None = None
    stuck: bool = False

    @property
    def due(self) -> bool:
        """Whether it is to be saved."""
        passages = self.indexes.passages if self.indexes is not None else 0
        return self.unsaved > max(_UNSAVED_AT_LEAST, passages // _UNSAVED_SHARE)

    def saved_now(self, indexes: Indexes, forgettable: Mapping[str, int]) -> None:
        self.saved, self.unsaved, self.forgettable = indexes.applied_in_memory, 0, forgettable


class Entries:
    """Thread-safe. limit: how many are to be open; `above` names those that are to go."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._guard = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def get(self, store_id: str) -> Entry | None:
        """It counts as no use."""
        with self._guard:
            return self._entries.get(store_id)

    def used(self, store_id: str) -> Entry:
        """Made where there is none."""
        with self._guard:
            entry = self._entries.setdefault(store_id, Entry())
            self._entries.move_to_end(store_id)
            return entry

    @contextmanager
    def changing(self, store_id: str, *, use: bool = True) -> Iterator[Entry]:
        """With its lock. Without `use` a new one is the first to go."""
        while True:
            entry = self.used(store_id) if use else self._unused(store_id)
            with entry.lock:
                if self.get(store_id) is entry:  # not put away while we waited
                    yield entry
                    return

    def _unused(self, store_id: str) -> Entry:
        with self._guard:
            if store_id not in self._entries:
                self._entries[store_id] = Entry()
                self._entries.move_to_end(store_id, last=False)
            return self._entries[store_id]

    def above(self) -> list[tuple[str, Entry]]:
        """Those least lately used, as many as there are too many."""
        with self._guard:
            return list(self._entries.items())[: max(0, len(self._entries) - self._limit)]

    def besides(self, known: Collection[str]) -> list[str]:
        with self._guard:
            return [store_id for store_id in self._entries if store_id not in set(known)]

    def pop(self, store_id: str) -> Entry:
        with self._guard:
            return self._entries.pop(store_id, None) or Entry()

    def pop_above(self, store_id: str) -> bool:
        """False where it has been used meanwhile."""
        with self._guard:
            gone = store_id in list(self._entries)[: max(0, len(self._entries) - self._limit)]
            if gone:
                del self._entries[store_id]
            return gone

    def pop_all(self) -> list[tuple[str, Entry]]:
        with self._guard:
            entries, self._entries = self._entries, OrderedDict()
        return list(entries.items())

    def all(self) -> list[tuple[str, Entry]]:
        with self._guard:
            return list(self._entries.items())
