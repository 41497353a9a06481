"""The files attached to a vector store: each, and in batches, in one transaction and watched together."""

import secrets
import sqlite3
from collections.abc import Sequence

from retrieval.store.database import Database, live_store, store_number, to_json
from retrieval.store.files import Order, file_row
from retrieval.store.publish import remove_version
from retrieval.store.rows import cursor_values, page, store_file_of
from retrieval.store.types import Attachment, Batch, FileCounts, FileStatus, NotFound, Page, StoreFile
from retrieval.store.uses import Uses
from retrieval.types import Attributes, Chunking

_ATTACHED = (
    "SELECT a.*, s.id AS store_id, f.id AS file_id FROM store_files a "
    "JOIN vector_stores s ON s.n = a.store JOIN files f ON f.n = a.file"
)
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
_OF_BATCH = f"{_ATTACHED} JOIN batch_files b ON b.version = a.version"


class StoreFiles(Database):
    """/v1/vector_stores/{id}/files."""

    def attach(
        self,
        owner: str,
        store_id: str,
        file_id: str,
        attributes: Attributes | None = None,
        chunking: Chunking | None = None,
    ) -> StoreFile:
        """Puts the file up for ingest: status in_progress, stage accepted.

        The same content under the same filename again changes nothing but its attributes, and starts again where it
        had failed or been cancelled; with another chunking it is ingested anew, and not found until that is done. New
        content under a filename replaces the old, which stays visible until the new is embedded; a version of that
        filename still in progress is cancelled. Raises NotFound, Expired.
        """
        with self.write() as db:
            version = attach(db, owner, store_id, Attachment(file_id, attributes, chunking), self.uses, self.now)
            return store_file_of(db.execute(f"{_ATTACHED} WHERE a.version = ?", (version,)).fetchone())

    def get_store_file(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Raises NotFound."""
        with self.read() as db:
            return store_file_of(_attached_row(db, owner, store_id, file_id, self.now))

    def list_store_files(
        self,
        owner: str,
        store_id: str,
        status: FileStatus | None = None,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[StoreFile]:
        """By time of attaching. after, before: file ids. Raises NotFound, UnknownCursor."""

        def version(cursor: str) -> int:
            return int(_attached_row(db, owner, store_id, cursor, self.now)["version"])

        with self.read() as db:
            values: list[str | int] = [store_number(db, owner, store_id)]
            where = "a.store = ?"
            if status is not None:
                where, values = where + " AND a.status = ?", [*values, status]
            cursors = cursor_values(version, after, before)
            rows, more = page(db, _ATTACHED, where, values, "a.version", limit, order, *cursors)
            return Page([store_file_of(row) for row in rows], more)

    def store_file_content(self, owner: str, store_id: str, file_id: str) -> list[str]:
        """The parsed text, one string a document, in the file's order. Raises NotFound."""
        with self.read() as db:
            version = _attached_row(db, owner, store_id, file_id, self.now)["version"]
            rows = db.execute("SELECT text FROM documents WHERE version = ? ORDER BY ordinal", (version,))
            return [row["text"] for row in rows]

    def update_attributes(self, owner: str, store_id: str, file_id: str, attributes: Attributes) -> StoreFile:
        """Replaces the file's attributes; filters see the new ones at once. Raises NotFound."""
        with self.write() as db:
            _set_attributes(db, _attached_row(db, owner, store_id, file_id, self.now)["version"], attributes)
            return store_file_of(_attached_row(db, owner, store_id, file_id, self.now))

    def cancel(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Stops an ingest that is in progress; anything else stays as it is. Raises NotFound."""
        with self.write() as db:
            cancel_versions(db, [_attached_row(db, owner, store_id, file_id, self.now)["version"]])
            return store_file_of(_attached_row(db, owner, store_id, file_id, self.now))

    def detach(self, owner: str, store_id: str, file_id: str) -> None:
        """Takes it out of the vector store, the file itself stays. Raises NotFound."""
        with self.write() as db:
            remove_version(db, _attached_row(db, owner, store_id, file_id, self.now)["version"])


class Batches(Database):
    """/v1/vector_stores/{id}/file_batches. Every call raises NotFound."""

    def create_batch(self, owner: str, store_id: str, files: Sequence[Attachment]) -> Batch:
        """All of them are attached, or none where one is unknown. Raises Expired."""
        batch_id = f"vsfb_{secrets.token_hex(12)}"
        with self.write() as db:
            versions = [attach(db, owner, store_id, wanted, self.uses, self.now) for wanted in files]
            row = (batch_id, store_number(db, owner, store_id), self.now)
            number = db.execute("INSERT INTO batches (id, store, created_at) VALUES (?, ?, ?)", row).lastrowid
            db.executemany(
                "INSERT INTO batch_files (batch, ordinal, version) VALUES (?, ?, ?)",
                [(number, i, version) for i, version in enumerate(dict.fromkeys(versions))],
            )
            return _batch_of(_batch_row(db, owner, store_id, batch_id))

    def get_batch(self, owner: str, store_id: str, batch_id: str) -> Batch:
        with self.read() as db:
            return _batch_of(_batch_row(db, owner, store_id, batch_id))

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
            batch = _batch_row(db, owner, store_id, batch_id)
            where, values = "b.batch = ?", list[str | int]([batch["n"]])
            if status is not None:
                where, values = where + " AND a.status = ?", [*values, status]
            cursors = cursor_values(ordinal, after, before)
            rows, more = page(db, _OF_BATCH, where, values, "b.ordinal", limit, order, *cursors)
            return Page([store_file_of(row) for row in rows], more)

    def cancel_batch(self, owner: str, store_id: str, batch_id: str) -> Batch:
        """Stops what is in progress; what is indexed stays."""
        with self.write() as db:
            batch = _batch_row(db, owner, store_id, batch_id)
            versions = db.execute("SELECT version FROM batch_files WHERE batch = ?", (batch["n"],)).fetchall()
            if cancel_versions(db, [row["version"] for row in versions]):
                db.execute("UPDATE batches SET cancelled = 1 WHERE n = ?", (batch["n"],))
            return _batch_of(_batch_row(db, owner, store_id, batch_id))


def attach(db: sqlite3.Connection, owner: str, store_id: str, wanted: Attachment, uses: Uses, now: int) -> int:
    """StoreFiles.attach inside a transaction: the version."""
    store, file = live_store(db, owner, store_id, uses, now)["n"], file_row(db, owner, wanted.file_id, now)
    _cancel_others(db, store, file)
    row = _version_of(db, store, file)
    held = None if row is None else store_file_of(row)
    chunking = wanted.chunking or (Chunking() if held is None else held.chunking)
    if held is not None and chunking != held.chunking:
        attributes = held.attributes if wanted.attributes is None else wanted.attributes
        wanted = Attachment(wanted.file_id, attributes, chunking)
        remove_version(db, held.version)
    db.execute(
        "INSERT OR IGNORE INTO store_files (store, file, filename, sha256, attributes, created_at, chunk_size,"
        " chunk_overlap) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(store, file["n"], file["filename"], file["sha256"], to_json(wanted.attributes or {}), now),
            *(chunking.size, chunking.overlap),
        ),
    )
    row = _version_of(db, store, file)
    assert row is not None
    version: int = row["version"]
    if wanted.attributes is not None and row["attributes"] != to_json(wanted.attributes):
        _set_attributes(db, version, wanted.attributes)
    if row["status"] in ("failed", "cancelled"):
        db.execute(
            "UPDATE store_files SET status = 'in_progress', stage = 'accepted', error_code = NULL,"
            " error_message = NULL, attempt = attempt + 1 WHERE version = ?",
            (version,),
        )
    db.execute("UPDATE vector_stores SET last_active_at = ? WHERE n = ?", (now, store))
    return version


def cancel_versions(db: sqlite3.Connection, versions: Sequence[int]) -> int:
    """Of those that are in progress and not yet visible; how many these were."""
    count = 0
    for version in versions:
        cancelled = db.execute(
            "UPDATE store_files SET status = 'cancelled', documents = 0, chunks = 0, embedded = 0"
            " WHERE version = ? AND status = 'in_progress' AND visible = 0",
            (version,),
        )
        if cancelled.rowcount:
            db.execute("DELETE FROM kept_documents WHERE version = ?", (version,))
            db.execute("DELETE FROM documents WHERE version = ?", (version,))
            count += 1
    return count


def _version_of(db: sqlite3.Connection, store: int, file: sqlite3.Row) -> sqlite3.Row | None:
    sql = f"{_ATTACHED} WHERE a.store = ? AND a.filename = ? AND a.sha256 = ?"
    row: sqlite3.Row | None = db.execute(sql, (store, file["filename"], file["sha256"])).fetchone()
    return row


def _attached_row(db: sqlite3.Connection, owner: str, store_id: str, file_id: str, now: int) -> sqlite3.Row:
    """By the file, or by another upload of the same content under the same name."""
    row = _version_of(db, store_number(db, owner, store_id), file_row(db, owner, file_id, now))
    if row is None:
        raise NotFound(f"no file {file_id!r} in vector store {store_id!r}")
    return row


def _cancel_others(db: sqlite3.Connection, store: int, file: sqlite3.Row) -> None:
    rows = db.execute(
        "SELECT version FROM store_files WHERE store = ? AND filename = ? AND sha256 <> ?",
        (store, file["filename"], file["sha256"]),
    )
    cancel_versions(db, [row["version"] for row in rows.fetchall()])


def _set_attributes(db: sqlite3.Connection, version: int, attributes: Attributes) -> None:
    text = to_json(attributes)
    db.execute("UPDATE store_files SET attributes = ? WHERE version = ?", (text, version))
    db.execute("UPDATE documents SET attributes = json_patch(?, own_attributes) WHERE version = ?", (text, version))


def _batch_row(db: sqlite3.Connection, owner: str, store_id: str, batch_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(_BATCH, (batch_id, store_number(db, owner, store_id))).fetchone()
    if row is None:
        raise NotFound(f"no file batch {batch_id!r} in vector store {store_id!r}")
    return row


def _batch_of(row: sqlite3.Row) -> Batch:
    counts = FileCounts(row["in_progress"], row["completed"], row["failed"], row["cancelled_files"])
    return Batch(row["id"], row["store_id"], row["created_at"], counts, bool(row["cancelled"]))
