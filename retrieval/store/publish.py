"""The ends of a file version: visible, failed, or gone. Each is one transaction, change log included."""

import sqlite3
from collections.abc import Sequence

from retrieval.store.database import Database
from retrieval.store.rows import live_version
from retrieval.store.types import Attempt, Superseded

_LOG = "INSERT INTO changes (store, chunk, added) SELECT a.store, c.key, {added} FROM store_files a"
_LOG += " JOIN documents d ON d.version = a.version JOIN chunks c ON c.document = d.n WHERE a.version = :version"
_LOG_ADDED = _LOG.format(added=1)
_LOG_REMOVED = _LOG.format(added=0)


class Publishing(Database):
    """For the ingestor."""

    def publish(self, attempt: Attempt) -> bool:
        """Makes a completely embedded version visible, in the place of the one that its filename had.

        False: something that it had counted on went away meanwhile (a kept document was deleted), so it is back
        at stage `accepted` and must be worked through again. Raises Superseded.
        """
        with self.write() as db:
            row = live_version(db, attempt)
            if row["visible"]:
                return True
            if not _is_whole(db, row):
                _discard(db, attempt.version)
                db.execute("UPDATE store_files SET stage = 'accepted' WHERE version = ?", (attempt.version,))
                return False
            values = {"version": attempt.version}
            db.execute(_LOG_ADDED, values)
            _replace_visible(db, row)
            db.execute(
                "UPDATE store_files SET visible = 1, stage = 'embedded', embedded = chunks, usage_bytes = ("
                "  SELECT coalesce(sum(length(CAST(c.text AS BLOB)) + length(v.vector) + length(t.code)"
                "  + coalesce(length(w.weights), 0)), 0)"
                "  FROM documents d JOIN chunks c ON c.document = d.n JOIN vectors v ON v.chunk = c.key"
                "  JOIN token_codes t ON t.chunk = c.key LEFT JOIN lexical_weights w ON w.chunk = c.key"
                "  WHERE d.version = :version) WHERE version = :version",
                values,
            )
            return True

    def complete(self, versions: Sequence[int]) -> None:
        """Every index has them; those that are gone meanwhile are left out."""
        with self.write(durable=False) as db:
            db.executemany(
                "UPDATE store_files SET status = 'completed', stage = 'indexed'"
                " WHERE version = ? AND status = 'in_progress' AND visible = 1",
                [(version,) for version in versions],
            )

    def fail(self, attempt: Attempt, code: str, message: str) -> None:
        """Drops what was pending; what is visible stays so. Raises Superseded."""
        with self.write() as db:
            if live_version(db, attempt)["visible"]:
                raise Superseded(f"{attempt}: it is published already")
            _discard(db, attempt.version)
            db.execute(
                "UPDATE store_files SET status = 'failed', error_code = ?, error_message = ? WHERE version = ?",
                (code, message, attempt.version),
            )


def remove_version(db: sqlite3.Connection, version: int) -> None:
    """With its documents, chunks and vectors, and their removal from the indexes in the log."""
    (visible,) = db.execute("SELECT visible FROM store_files WHERE version = ?", (version,)).fetchone()
    if visible:
        db.execute(_LOG_REMOVED, {"version": version})
    db.execute("DELETE FROM store_files WHERE version = ?", (version,))


def _is_whole(db: sqlite3.Connection, row: sqlite3.Row) -> bool:
    values = {"version": row["version"]}
    (documents,) = db.execute(
        "SELECT (SELECT count(*) FROM documents WHERE version = :version)"
        " + (SELECT count(*) FROM kept_documents WHERE version = :version)",
        values,
    ).fetchone()
    without_vector = db.execute(
        "SELECT 1 FROM documents d JOIN chunks c ON c.document = d.n WHERE d.version = :version"
        " AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.key) LIMIT 1",
        values,
    ).fetchone()
    return bool(documents == row["documents"] and without_vector is None and row["stage"] in ("chunked", "embedded"))


def _replace_visible(db: sqlite3.Connection, row: sqlite3.Row) -> None:
    """The filename's visible version goes; what `row` keeps of it becomes the new version's own."""
    old = db.execute(
        "SELECT version FROM store_files WHERE store = ? AND filename = ? AND visible = 1",
        (row["store"], row["filename"]),
    ).fetchone()
    if old is None:
        return
    values = {"version": row["version"], "attributes": row["attributes"]}
    db.execute(
        "UPDATE documents SET version = :version, attributes = json_patch(:attributes, own_attributes), ordinal ="
        " (SELECT ordinal FROM kept_documents k WHERE k.version = :version AND k.document = documents.n)"
        " WHERE n IN (SELECT document FROM kept_documents WHERE version = :version)",
        values,
    )
    db.execute("DELETE FROM kept_documents WHERE version = :version", values)
    remove_version(db, old["version"])


def _discard(db: sqlite3.Connection, version: int) -> None:
    db.execute("DELETE FROM kept_documents WHERE version = ?", (version,))
    db.execute("DELETE FROM documents WHERE version = ?", (version,))
