"""Uploaded files, and the files attached to a vector store."""

import hashlib
import secrets
import sqlite3
import time
from typing import Literal

from retrieval.store_database import Database, store_number, to_json
from retrieval.store_pages import page
from retrieval.store_publish import remove_version
from retrieval.store_rows import file_of, store_file_of
from retrieval.store_types import File, FileStatus, NotFound, Page, StoreFile
from retrieval.types import Attributes

Order = Literal["asc", "desc"]

_ATTACHED = (
    "SELECT a.*, s.id AS store_id, f.id AS file_id FROM store_files a "
    "JOIN vector_stores s ON s.n = a.store JOIN files f ON f.n = a.file"
)


class Files(Database):
    """/v1/files."""

    def add_file(
        self, owner: str, filename: str, content: bytes, media_type: str = "", purpose: str = "assistants"
    ) -> File:
        """The same bytes under the same name and purpose are the same file: uploading them again changes nothing."""
        digest = hashlib.sha256(content).hexdigest()
        with self.write() as db:
            db.execute("INSERT OR IGNORE INTO contents (sha256, content) VALUES (?, ?)", (digest, content))
            db.execute(
                "INSERT OR IGNORE INTO files (id, owner, filename, media_type, purpose, sha256, bytes, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (_new_id(), owner, filename, media_type, purpose, digest, len(content), int(time.time())),
            )
            return file_of(
                db.execute(
                    "SELECT * FROM files WHERE owner = ? AND purpose = ? AND filename = ? AND sha256 = ?",
                    (owner, purpose, filename, digest),
                ).fetchone()
            )

    def get_file(self, owner: str, file_id: str) -> File:
        """Raises NotFound."""
        with self.read() as db:
            return file_of(_file_row(db, owner, file_id))

    def list_files(
        self,
        owner: str,
        purpose: str | None = None,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[File]:
        """By creation. after, before: file ids. Raises NotFound for a cursor that is no file."""
        where, values = "owner = ?", [owner]
        if purpose is not None:
            where, values = where + " AND purpose = ?", [owner, purpose]
        with self.read() as db:
            cursors = [_file_row(db, owner, cursor)["n"] if cursor else None for cursor in (after, before)]
            rows, more = page(db, "SELECT * FROM files", where, values, "n", limit, order, *cursors)
            return Page([file_of(row) for row in rows], more)

    def file_content(self, owner: str, file_id: str) -> bytes:
        """The bytes as they were uploaded. Raises NotFound."""
        with self.read() as db:
            digest = _file_row(db, owner, file_id)["sha256"]
            content: bytes = db.execute("SELECT content FROM contents WHERE sha256 = ?", (digest,)).fetchone()[0]
            return content

    def delete_file(self, owner: str, file_id: str) -> None:
        """Also takes it out of every vector store. Raises NotFound."""
        with self.write() as db:
            row = _file_row(db, owner, file_id)
            for attached in db.execute("SELECT version FROM store_files WHERE file = ?", (row["n"],)).fetchall():
                remove_version(db, attached["version"])
            db.execute("DELETE FROM files WHERE n = ?", (row["n"],))
            db.execute(
                "DELETE FROM contents WHERE sha256 = :digest"
                " AND NOT EXISTS (SELECT 1 FROM files WHERE sha256 = :digest)",
                {"digest": row["sha256"]},
            )


class StoreFiles(Database):
    """/v1/vector_stores/{id}/files."""

    def attach(self, owner: str, store_id: str, file_id: str, attributes: Attributes | None = None) -> StoreFile:
        """Puts the file up for ingest: status in_progress, stage accepted.

        The same content under the same filename again changes nothing but its attributes, and starts again where it
        had failed or been cancelled. New content under a filename replaces the old, which stays visible until the new
        is embedded; a version of that filename still in progress is cancelled. Raises NotFound.
        """
        with self.write() as db:
            store, file = store_number(db, owner, store_id), _file_row(db, owner, file_id)
            _cancel_others(db, store, file)
            db.execute(
                "INSERT OR IGNORE INTO store_files (store, file, filename, sha256, attributes, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (store, file["n"], file["filename"], file["sha256"], to_json(attributes or {}), int(time.time())),
            )
            row = db.execute(
                "SELECT * FROM store_files WHERE store = ? AND filename = ? AND sha256 = ?",
                (store, file["filename"], file["sha256"]),
            ).fetchone()
            if attributes is not None and row["attributes"] != to_json(attributes):
                _set_attributes(db, row["version"], attributes)
            if row["status"] in ("failed", "cancelled"):
                db.execute(
                    "UPDATE store_files SET status = 'in_progress', stage = 'accepted', error_code = NULL,"
                    " error_message = NULL WHERE version = ?",
                    (row["version"],),
                )
            db.execute("UPDATE vector_stores SET last_active_at = ? WHERE n = ?", (int(time.time()), store))
            return store_file_of(db.execute(f"{_ATTACHED} WHERE a.version = ?", (row["version"],)).fetchone())

    def get_store_file(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Raises NotFound."""
        with self.read() as db:
            return store_file_of(_attached_row(db, owner, store_id, file_id))

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
        """By time of attaching. after, before: file ids. Raises NotFound."""
        with self.read() as db:
            values: list[str | int] = [store_number(db, owner, store_id)]
            where = "a.store = ?"
            if status is not None:
                where, values = where + " AND a.status = ?", [*values, status]
            cursors = [
                _attached_row(db, owner, store_id, cursor)["version"] if cursor else None for cursor in (after, before)
            ]
            rows, more = page(db, _ATTACHED, where, values, "a.version", limit, order, *cursors)
            return Page([store_file_of(row) for row in rows], more)

    def store_file_content(self, owner: str, store_id: str, file_id: str) -> list[str]:
        """The parsed text, one string a document, in the file's order. Raises NotFound."""
        with self.read() as db:
            version = _attached_row(db, owner, store_id, file_id)["version"]
            rows = db.execute("SELECT text FROM documents WHERE version = ? ORDER BY ordinal", (version,))
            return [row["text"] for row in rows]

    def update_attributes(self, owner: str, store_id: str, file_id: str, attributes: Attributes) -> StoreFile:
        """Replaces the file's attributes; filters see the new ones at once. Raises NotFound."""
        with self.write() as db:
            _set_attributes(db, _attached_row(db, owner, store_id, file_id)["version"], attributes)
            return store_file_of(_attached_row(db, owner, store_id, file_id))

    def cancel(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Stops an ingest that is in progress; anything else stays as it is. Raises NotFound."""
        with self.write() as db:
            version = _attached_row(db, owner, store_id, file_id)["version"]
            _cancel(db, [version])
            return store_file_of(_attached_row(db, owner, store_id, file_id))

    def detach(self, owner: str, store_id: str, file_id: str) -> None:
        """Takes it out of the vector store, the file itself stays. Raises NotFound."""
        with self.write() as db:
            remove_version(db, _attached_row(db, owner, store_id, file_id)["version"])


def _new_id() -> str:
    return f"file-{secrets.token_hex(12)}"


def _file_row(db: sqlite3.Connection, owner: str, file_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM files WHERE id = ? AND owner = ?", (file_id, owner)).fetchone()
    if row is None:
        raise NotFound(f"no file {file_id!r}")
    return row


def _attached_row(db: sqlite3.Connection, owner: str, store_id: str, file_id: str) -> sqlite3.Row:
    """By the file, or by another upload of the same content under the same name."""
    store, file = store_number(db, owner, store_id), _file_row(db, owner, file_id)
    row: sqlite3.Row | None = db.execute(
        f"{_ATTACHED} WHERE a.store = ? AND a.filename = ? AND a.sha256 = ?", (store, file["filename"], file["sha256"])
    ).fetchone()
    if row is None:
        raise NotFound(f"no file {file_id!r} in vector store {store_id!r}")
    return row


def _cancel_others(db: sqlite3.Connection, store: int, file: sqlite3.Row) -> None:
    rows = db.execute(
        "SELECT version FROM store_files WHERE store = ? AND filename = ? AND sha256 <> ?",
        (store, file["filename"], file["sha256"]),
    )
    _cancel(db, [row["version"] for row in rows.fetchall()])


def _cancel(db: sqlite3.Connection, versions: list[int]) -> None:
    """Of those that are in progress and not yet visible."""
    for version in versions:
        cancelled = db.execute(
            "UPDATE store_files SET status = 'cancelled', documents = 0, chunks = 0, embedded = 0"
            " WHERE version = ? AND status = 'in_progress' AND visible = 0",
            (version,),
        )
        if cancelled.rowcount:
            db.execute("DELETE FROM kept_documents WHERE version = ?", (version,))
            db.execute("DELETE FROM documents WHERE version = ?", (version,))


def _set_attributes(db: sqlite3.Connection, version: int, attributes: Attributes) -> None:
    text = to_json(attributes)
    db.execute("UPDATE store_files SET attributes = ? WHERE version = ?", (text, version))
    db.execute("UPDATE documents SET attributes = json_patch(?, own_attributes) WHERE version = ?", (text, version))
