"""Batches: files attached together, in one transaction, and watched together."""

import secrets
import sqlite3
from collections.abc import Sequence

from retrieval.store.attached import ATTACHED, attach, cancel_versions
from retrieval.store.database import Database, store_number
from retrieval.store.files import Order
from retrieval.store.rows import cursor_values, page, store_file_of
from retrieval.store.types import Attachment, Batch, FileCounts, FileStatus, NotFound, Page, StoreFile

# A version that has left the vector store counts as what it was when it went (the trigger batch_file_ends).
_BATCH = """
SELECT b.*, s.id AS store_id,
    sum(status = 'in_progress') AS in_progress,
    sum(status = 'completed') AS completed,
    sum(status = 'failed') AS failed,
    sum(status = 'cancelled') AS cancelled_files
FROM batches b JOIN vector_stores s ON s.n = b.store JOIN (
    SELECT f.batch, coalesce(a.status, f.ended) AS status
    FROM batch_files f LEFT JOIN store_files a ON a.version = f.version
) f ON f.batch = b.n
WHERE b.id = ? AND b.store = ? GROUP BY b.n
"""
_OF_BATCH = f"{ATTACHED} JOIN batch_files b ON b.version = a.version"


class Batches(Database):
    """/v1/vector_stores/{id}/file_batches. Every call raises NotFound."""

    def create_batch(self, owner: str, store_id: str, files: Sequence[Attachment]) -> Batch:
        """All of them are attached, or none where one is unknown. Raises Expired."""
        batch_id = f"vsfb_{secrets.token_hex(12)}"
        with self.write() as db:
            versions = [attach(db, owner, store_id, wanted, self.now) for wanted in files]
            row = (batch_id, store_number(db, owner, store_id), self.now)
            number = db.execute("INSERT INTO batches (id, store, created_at) VALUES (?, ?, ?)", row).lastrowid
            db.executemany(
                "INSERT INTO batch_files (batch, ordinal, version) VALUES (?, ?, ?)",
                [(number, i, version) for i, version in enumerate(dict.fromkeys(versions))],
            )
            return _batch_of(_row(db, owner, store_id, batch_id))

    def get_batch(self, owner: str, store_id: str, batch_id: str) -> Batch:
        with self.read() as db:
            return _batch_of(_row(db, owner, store_id, batch_id))

    def list_batch_files(
        self,
        owner: str,
        store_id: str,
        batch_id: str,
        status: FileStatus | None = None,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[StoreFile]:
        """Those that are still in the vector store. after, before: file ids. Raises UnknownCursor."""

        def ordinal(cursor: str) -> int:
            sql = (
                "SELECT b.ordinal FROM batch_files b JOIN store_files a ON a.version = b.version"
                " JOIN files f ON f.n = a.file WHERE f.id = ? AND b.batch = ?"
            )
            if (found := db.execute(sql, (cursor, batch["n"])).fetchone()) is None:
                raise NotFound(cursor)
            return int(found["ordinal"])

        with self.read() as db:
            batch = _row(db, owner, store_id, batch_id)
            where, values = "b.batch = ?", list[str | int]([batch["n"]])
            if status is not None:
                where, values = where + " AND a.status = ?", [*values, status]
            cursors = cursor_values(ordinal, after, before)
            rows, more = page(db, _OF_BATCH, where, values, "b.ordinal", limit, order, *cursors)
            return Page([store_file_of(row) for row in rows], more)

    def cancel_batch(self, owner: str, store_id: str, batch_id: str) -> Batch:
        """Stops what is in progress; what is indexed stays."""
        with self.write() as db:
            batch = _row(db, owner, store_id, batch_id)
            versions = db.execute("SELECT version FROM batch_files WHERE batch = ?", (batch["n"],)).fetchall()
            if cancel_versions(db, [row["version"] for row in versions]):
                db.execute("UPDATE batches SET cancelled = 1 WHERE n = ?", (batch["n"],))
            return _batch_of(_row(db, owner, store_id, batch_id))


def _row(db: sqlite3.Connection, owner: str, store_id: str, batch_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(_BATCH, (batch_id, store_number(db, owner, store_id))).fetchone()
    if row is None:
        raise NotFound(f"no file batch {batch_id!r} in vector store {store_id!r}")
    return row


def _batch_of(row: sqlite3.Row) -> Batch:
    counts = FileCounts(row["in_progress"], row["completed"], row["failed"], row["cancelled_files"])
    return Batch(row["id"], row["store_id"], row["created_at"], counts, bool(row["cancelled"]))
