"""When vector stores were last used, as far as the database does not know it yet."""

import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, update

from retrieval.database.constructs import greatest
from retrieval.store.base.tables import vector_stores
from retrieval.store.base.values import DAY

_WRITE = (
    update(vector_stores)
    .where(vector_stores.c.n == bindparam("number"))
    .values(last_active_at=greatest(vector_stores.c.last_active_at, bindparam("at")))
)


class Uses:
    """Kept in memory, so that a search never waits for a writer: it was 2 s behind an upload of 2 s. Thread-safe.

    Whoever asks for a vector store's last use, or whether it has expired, asks here. A killed process loses those since
    the last `write`; other processes know of none before. Keys are rows of vector_stores, times Unix seconds.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._noted: dict[int, int] = {}

    def note(self, number: int, now: int) -> None:
        with self._guard:
            self._noted[number] = max(now, self._noted.get(number, 0))

    def last(self, store: Any) -> int:
        """store: a row of vector_stores, as below."""
        written: int = store.last_active_at
        return max(written, self._noted.get(store.n, 0))

    def has_expired(self, store: Any, now: int) -> bool:
        days: int | None = store.expires_days
        return bool(store.expired) or (days is not None and self.last(store) + days * DAY <= now)

    def write(self, db: Connection) -> Mapping[int, int]:
        """Into the database; `written` is to follow when the transaction is over. In the order of their numbers, in
        which every transaction takes rows of vector stores.
        """
        with self._guard:
            noted = dict(self._noted)
        if noted:
            db.execute(_WRITE, [{"number": number, "at": noted[number]} for number in sorted(noted)])
        return noted

    def written(self, noted: Mapping[int, int]) -> None:
        """Forgets them, but those that have been used again since."""
        with self._guard:
            self._noted = {number: at for number, at in self._noted.items() if noted.get(number) != at}

    def __len__(self) -> int:
        return len(self._noted)
