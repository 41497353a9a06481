"""What searches and indexes read: visible passages, vectors, and the log of what changed."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Literal

import numpy as np

from models.base import FloatArray
from retrieval.filters.sql import condition
from retrieval.filters.syntax import Filter
from retrieval.store.database import Database, store_number
from retrieval.store.rows import chunk_of, passage_of
from retrieval.store.types import Change, NotFound, Passage, VectorSpace
from retrieval.types import Chunk

_CHUNKS = """
SELECT c.key, c.id, c.position, c.text, c.first_char, c.last_char, c.headings, c.page, c.token_count, c.terms,
    d.id AS document_id, d.external_id, d.title, d.url, d.attributes, a.filename, f.id AS file_id,
    s.id AS store_id {more}
FROM chunks c JOIN documents d ON d.n = c.document JOIN store_files a ON a.version = d.version
    JOIN files f ON f.n = a.file JOIN vector_stores s ON s.n = a.store {joins}
WHERE a.visible = 1 AND a.store = :store
"""
_KEYS = "(SELECT value FROM json_each(:keys))"


class Passages(Database):
    """For the retriever. Only what is visible."""

    def load_passages(self, owner: str, store_id: str, keys: Sequence[int]) -> dict[int, Passage]:
        """By key; keys that are gone meanwhile are left out. Raises NotFound."""
        select = _CHUNKS.format(more=", t.code", joins="LEFT JOIN token_codes t ON t.chunk = c.key")
        with self.read() as db:
            values = {"store": store_number(db, owner, store_id), "keys": _json(keys)}
            rows = db.execute(f"{select} AND c.key IN {_KEYS}", values)
            return {row["key"]: passage_of(row) for row in rows}

    def document_chunks(
        self, owner: str, store_id: str, document_id: str, first_position: int, last_position: int
    ) -> list[Chunk]:
        """Neighbours in their order, both ends included. Raises NotFound for the vector store."""
        select = _CHUNKS.format(more="", joins="")
        with self.read() as db:
            values = {
                "store": store_number(db, owner, store_id),
                "document": document_id,
                "first": first_position,
                "last": last_position,
            }
            where = "AND d.id = :document AND c.position BETWEEN :first AND :last ORDER BY c.position"
            return [chunk_of(row) for row in db.execute(f"{select} {where}", values)]

    def allowed_keys(self, owner: str, store_id: str, filter: Filter) -> set[int]:
        """Keys of the chunks whose attributes pass; whether the vector store has expired is for `use` to say.

        Raises NotFound.
        """
        passes = condition(filter, "d.attributes")
        sql = (
            "SELECT c.key FROM store_files a JOIN documents d ON d.version = a.version"  # noqa: S608
            " JOIN chunks c ON c.document = d.n WHERE a.visible = 1"
            f" AND a.store = (SELECT n FROM vector_stores WHERE id = ? AND owner = ?) AND {passes.sql}"
        )
        with self.read() as db:
            keys = {row["key"] for row in db.execute(sql, (store_id, owner, *passes.values))}
            if not keys:  # nothing passes, or there is no such vector store
                store_number(db, owner, store_id)
        return keys


class Changes(Database):
    """For the derived indexes of a vector store, which belong to no owner: never behind a route."""

    def store_ids(self, owner: str | None = None) -> list[str]:
        """None: of every owner."""
        with self.read() as db:
            rows = db.execute("SELECT id FROM vector_stores WHERE coalesce(owner = ?, 1) ORDER BY n", (owner,))
            return [row["id"] for row in rows]

    def space_of(self, store_id: str) -> VectorSpace | None:
        """Of the vectors inside, None before the first. Raises NotFound."""
        with self.read() as db:
            row = _store_row(db, store_id)
            return VectorSpace(row["embedder"], row["dim"], bool(row["lexical"])) if row["embedder"] else None

    def last_change(self, store_id: str) -> int:
        """The newest seq of the vector store's log, 0 before the first. Raises NotFound."""
        with self.read() as db:
            store = _store_row(db, store_id)
            return _newest(db, store)

    def log_floor(self, store_id: str) -> int:
        """An index that has applied less than this must be built anew. Raises NotFound."""
        with self.read() as db:
            floor: int = _store_row(db, store_id)["log_floor"]
            return floor

    def changes(self, store_id: str, after: int, limit: int) -> list[Change]:
        """Ascending seq. Raises NotFound."""
        with self.read() as db:
            rows = db.execute(
                "SELECT seq, chunk, added FROM changes WHERE store = ? AND seq > ? ORDER BY seq LIMIT ?",
                (_store_row(db, store_id)["n"], after, limit),
            )
            return [Change(row["seq"], row["chunk"], bool(row["added"])) for row in rows]

    def trim_changes(self, store_id: str, through: int) -> None:
        """Forgets the log up to a seq that every index of the vector store has on disk. Raises NotFound."""
        with self.write() as db:
            number = _store_row(db, store_id)["n"]
            db.execute("DELETE FROM changes WHERE store = ? AND seq <= ?", (number, through))
            db.execute("UPDATE vector_stores SET log_floor = max(log_floor, ?) WHERE n = ?", (through, number))

    def visible_keys(self, store_id: str) -> tuple[list[int], int]:
        """Every key that the indexes should hold, ascending, and the seq of which that is true. Raises NotFound."""
        with self.read() as db:
            store = _store_row(db, store_id)
            rows = db.execute(
                "SELECT c.key FROM store_files a JOIN documents d ON d.version = a.version"
                " JOIN chunks c ON c.document = d.n WHERE a.store = ? AND a.visible = 1 ORDER BY c.key",
                (store["n"],),
            )
            return [row["key"] for row in rows], _newest(db, store)

    def keys_without(self, store_id: str, table: Literal["vectors", "lexical_weights"]) -> list[int]:
        """Visible chunks that an index cannot hold: none, unless the database was damaged. Raises NotFound."""
        with self.read() as db:
            rows = db.execute(
                "SELECT c.key FROM store_files a JOIN documents d ON d.version = a.version"  # noqa: S608
                f" JOIN chunks c ON c.document = d.n LEFT JOIN {table} v ON v.chunk = c.key"
                " WHERE a.store = ? AND a.visible = 1 AND v.chunk IS NULL ORDER BY c.key",
                (_store_row(db, store_id)["n"],),
            )
            return [row["key"] for row in rows]

    def index_terms(self, keys: Sequence[int]) -> list[tuple[int, str]]:
        """Terms joined by spaces, of the keys that still exist, ascending."""
        with self.read() as db:
            sql = f"SELECT key, terms FROM chunks WHERE key IN {_KEYS} ORDER BY key"  # noqa: S608
            return [(row["key"], row["terms"]) for row in db.execute(sql, {"keys": _json(keys)})]

    def index_weights(self, keys: Sequence[int]) -> list[tuple[int, bytes]]:
        """Lexical weights as they were saved, of the keys that still exist, ascending."""
        with self.read() as db:
            sql = f"SELECT chunk, weights FROM lexical_weights WHERE chunk IN {_KEYS} ORDER BY chunk"  # noqa: S608
            return [(row["chunk"], row["weights"]) for row in db.execute(sql, {"keys": _json(keys)})]

    def index_vectors(self, keys: Sequence[int], dim: int) -> tuple[list[int], FloatArray]:
        """Vectors (n, dim) of the keys that still exist, ascending."""
        with self.read() as db:
            sql = f"SELECT chunk, vector FROM vectors WHERE chunk IN {_KEYS} ORDER BY chunk"  # noqa: S608
            rows = db.execute(sql, {"keys": _json(keys)}).fetchall()
        vectors = np.frombuffer(b"".join(row["vector"] for row in rows), "<f2").astype(np.float32)
        return [row["chunk"] for row in rows], vectors.reshape(-1, dim)


def _newest(db: sqlite3.Connection, store: sqlite3.Row) -> int:
    (newest,) = db.execute("SELECT max(seq) FROM changes WHERE store = ?", (store["n"],)).fetchone()
    floor: int = store["log_floor"]
    return max(newest or 0, floor)


def _json(keys: Sequence[int]) -> str:
    return json.dumps([int(key) for key in keys])


def _store_row(db: sqlite3.Connection, store_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute("SELECT * FROM vector_stores WHERE id = ?", (store_id,)).fetchone()
    if row is None:
        raise NotFound(f"no vector store {store_id!r}")
    return row
