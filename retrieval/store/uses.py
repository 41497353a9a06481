"""When vector stores were last used, as far as the database does not know it yet."""

import sqlite3
import threading
from collections.abc import Mapping

from retrieval.store.types import DAY


class Uses:
    """Kept in memory, so that a search never waits for a writer: it was 2 s behind an upload of 2 s. Thread-safe.

    Whoever asks for a vector store's last use, or whether it has expired, asks here. A killed process loses those since
    the last `write`. Keys are rows of vector_stores, times Unix seconds.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._noted: dict[int, int] = {}

    def note(self, number: int, now: int) -> None:
        with self._guard:
            self._noted[number] = max(now, self._noted.get(number, 0))

    def last(self, store: sqlite3.Row) -> int:
        written: int = store["last_active_at"]
        return max(written, self._noted.get(store["n"], 0))

    def has_expired(self, store: sqlite3.Row, now: int) -> bool:
        """store: a row of vector_stores."""
        days: int | None = store["expires_days"]
        return bool(store["expired"]) or (days is not None and self.last(store) + days * DAY <= now)

    def write(self, db: sqlite3.Connection) -> Mapping[int, int]:
        """Into the database; `written` is to follow when the transaction is over."""
        with self._guard:
            noted = dict(self._noted)
        db.executemany(
            "UPDATE vector_stores SET last_active_at = max(last_active_at, ?) WHERE n = ?",
            [(at, number) for number, at in noted.items()],
        )
        return noted

    def written(self, noted: Mapping[int, int]) -> None:
        """Forgets them, but those that have been used again since."""
        with self._guard:
            self._noted = {number: at for number, at in self._noted.items() if noted.get(number) != at}

    def __len__(self) -> int:
        return len(self._noted)
