"""What has to be removed by itself: what has expired, and what deleting leaves behind in the database file."""

import sqlite3

from retrieval.store.database import Database
from retrieval.store.files import remove_file
from retrieval.store.publish import remove_version
from retrieval.store.types import DAY


class Leftovers(Database):
    """For the upkeep."""

    def expire(self) -> None:
        """Removes files whose time is over, from vector stores too, and empties vector stores whose time is over."""
        now = self.now
        if (due := self.next_expiry()) is None or due > now:
            return
        with self.write() as db:
            noted = self.uses.write(db)  # what is in use does not expire
            for file in db.execute("SELECT * FROM files WHERE expires_at <= ?", (now,)).fetchall():
                remove_file(db, file)
            over = "SELECT n FROM vector_stores WHERE expired = 0 AND last_active_at + expires_days * ? <= ?"
            for store in db.execute(over, (DAY, now)).fetchall():
                _empty(db, store["n"])
                db.execute("UPDATE vector_stores SET expired = 1 WHERE n = ?", (store["n"],))
        self.uses.written(noted)

    def next_expiry(self) -> int | None:
        """Unix seconds, at the earliest: uses that are not written yet put it off."""
        with self.read() as db:
            (file,) = db.execute("SELECT min(expires_at) FROM files").fetchone()
            (store,) = db.execute(
                "SELECT min(last_active_at + expires_days * ?) FROM vector_stores WHERE expired = 0", (DAY,)
            ).fetchone()
        return min((due for due in (file, store) if due is not None), default=None)

    def leftovers_due(self) -> bool:
        """Whether something was deleted since the last `scrub`."""
        with self.read() as db:
            return bool(db.execute("SELECT due FROM leftovers").fetchone()["due"])

    def scrub(self) -> bool:
        """Rewrites the database without its free space, and empties the write-ahead log: what was deleted before is in
        neither. Searches go on; writers wait, some seconds a gigabyte. False where a long read was in the way: again.

        secure_delete alone is not enough: cells that SQLite moved before they were deleted leave copies in the gaps.
        """
        with self.alone():
            self._writer.execute("VACUUM")
            (busy, *_) = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not busy:
                with self.write() as db:
                    db.execute("UPDATE leftovers SET due = 0")
        return not busy

    def has_removals(self, store_id: str) -> bool:
        """Whether the log of a vector store tells of passages that left, which an index on disk may still have."""
        sql = "SELECT 1 FROM changes c JOIN vector_stores s ON s.n = c.store WHERE s.id = ? AND c.added = 0 LIMIT 1"
        with self.read() as db:
            return db.execute(sql, (store_id,)).fetchone() is not None


def _empty(db: sqlite3.Connection, store: int) -> None:
    for row in db.execute("SELECT version FROM store_files WHERE store = ?", (store,)).fetchall():
        remove_version(db, row["version"])
