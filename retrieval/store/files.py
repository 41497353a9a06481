"""Uploaded files."""

import hashlib
import secrets
import sqlite3
from typing import Literal

from retrieval.store.database import Database
from retrieval.store.publish import remove_version
from retrieval.store.rows import cursor_values, file_of, page
from retrieval.store.types import File, NotFound, Page

Order = Literal["asc", "desc"]
_SAME = "SELECT * FROM files WHERE owner = ? AND purpose = ? AND filename = ? AND sha256 = ?"


class Files(Database):
    """/v1/files. A file whose time is over is not found, also where `expire` has not removed it yet."""

    def add_file(
        self,
        owner: str,
        filename: str,
        content: bytes,
        media_type: str = "",
        purpose: str = "assistants",
        *,
        expires_seconds: int | None = None,
    ) -> File:
        """The same bytes under the same name and purpose are the same file: uploading them again changes nothing, but
        that it stays as long as the longest-lived upload wants. expires_seconds: from now; None keeps it for ever.
        """
        digest, now = hashlib.sha256(content).hexdigest(), self.now
        same = (owner, purpose, filename, digest)
        expires_at = None if expires_seconds is None else now + expires_seconds
        with self.write() as db:
            for gone in db.execute(f"{_SAME} AND expires_at <= ?", (*same, now)).fetchall():
                remove_file(db, gone)
            db.execute("INSERT OR IGNORE INTO contents (sha256, content) VALUES (?, ?)", (digest, content))
            db.execute(
                "INSERT INTO files (id, owner, filename, media_type, purpose, sha256, bytes, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (owner, purpose, filename, sha256) DO UPDATE"
                " SET expires_at = max(expires_at, excluded.expires_at)",  # of these null, for ever, is the greatest
                (_new_id(), owner, filename, media_type, purpose, digest, len(content), now, expires_at),
            )
            return file_of(db.execute(_SAME, same).fetchone())

    def get_file(self, owner: str, file_id: str) -> File:
        """Raises NotFound."""
        with self.read() as db:
            return file_of(file_row(db, owner, file_id, self.now))

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
        """By creation. after, before: file ids. Raises UnknownCursor."""
        now = self.now
        where, values = "owner = ? AND coalesce(expires_at > ?, 1)", list[str | int]([owner, now])
        if purpose is not None:
            where, values = where + " AND purpose = ?", [*values, purpose]
        with self.read() as db:
            cursors = cursor_values(lambda cursor: int(file_row(db, owner, cursor, now)["n"]), after, before)
            rows, more = page(db, "SELECT * FROM files", where, values, "n", limit, order, *cursors)
            return Page([file_of(row) for row in rows], more)

    def file_content(self, owner: str, file_id: str) -> bytes:
        """The bytes as they were uploaded. Raises NotFound."""
        with self.read() as db:
            digest = file_row(db, owner, file_id, self.now)["sha256"]
            content: bytes = db.execute("SELECT content FROM contents WHERE sha256 = ?", (digest,)).fetchone()[0]
            return content

    def delete_file(self, owner: str, file_id: str) -> None:
        """Also takes it out of every vector store. Raises NotFound."""
        with self.write() as db:
            remove_file(db, file_row(db, owner, file_id, self.now))


def remove_file(db: sqlite3.Connection, row: sqlite3.Row) -> None:
    """With what every vector store has of it, and its bytes where no other file has the same."""
    for attached in db.execute("SELECT version FROM store_files WHERE file = ?", (row["n"],)).fetchall():
        remove_version(db, attached["version"])
    db.execute("DELETE FROM files WHERE n = ?", (row["n"],))
    db.execute(
        "DELETE FROM contents WHERE sha256 = :digest AND NOT EXISTS (SELECT 1 FROM files WHERE sha256 = :digest)",
        {"digest": row["sha256"]},
    )


def file_row(db: sqlite3.Connection, owner: str, file_id: str, now: int) -> sqlite3.Row:
    """Raises NotFound."""
    sql = "SELECT * FROM files WHERE id = ? AND owner = ? AND coalesce(expires_at > ?, 1)"
    row: sqlite3.Row | None = db.execute(sql, (file_id, owner, now)).fetchone()
    if row is None:
        raise NotFound(f"no file {file_id!r}")
    return row


def _new_id() -> str:
    return f"file-{secrets.token_hex(12)}"
