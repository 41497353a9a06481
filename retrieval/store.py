"""The source of truth: vector stores, files, passages and their vectors, in SQLite.

Every call takes the owner, and another owner's id is NotFound. What a call has returned from is on disk: kill -9 at any
instant loses nothing of it. Indexes are derived from here by the change log (retrieval/corpus.py).
"""

import secrets
import sqlite3
import time
from collections.abc import Mapping
from typing import Literal

from retrieval.store_chunks import Changes, Passages
from retrieval.store_database import Database, store_number, to_json
from retrieval.store_files import Files, Order, StoreFiles
from retrieval.store_lock import DataDirLock, Holder, holder_of
from retrieval.store_pages import page
from retrieval.store_publish import Publishing
from retrieval.store_rows import vector_store_of
from retrieval.store_types import (
    DataDirLocked,
    EmbedderMismatch,
    File,
    NewerDatabase,
    NotFound,
    Page,
    Passage,
    StoreError,
    StoreFile,
    VectorStore,
)
from retrieval.store_vectors import Vectors
from retrieval.store_versions import Versions

__all__ = [
    "DataDirLock",
    "DataDirLocked",
    "EmbedderMismatch",
    "File",
    "Holder",
    "NewerDatabase",
    "NotFound",
    "Page",
    "Passage",
    "Store",
    "StoreError",
    "StoreFile",
    "VectorStore",
    "holder_of",
]

_STORES = """
SELECT s.*,
    (SELECT coalesce(sum(usage_bytes), 0) FROM store_files WHERE store = s.n) AS usage_bytes,
    (SELECT count(*) FROM store_files WHERE store = s.n AND status = 'in_progress') AS in_progress,
    (SELECT count(*) FROM store_files WHERE store = s.n AND status = 'completed') AS completed,
    (SELECT count(*) FROM store_files WHERE store = s.n AND status = 'failed') AS failed,
    (SELECT count(*) FROM store_files WHERE store = s.n AND status = 'cancelled') AS cancelled
FROM vector_stores s
"""


class VectorStores(Database):
    """/v1/vector_stores."""

    def create_store(self, owner: str, name: str, metadata: Mapping[str, str] | None = None) -> VectorStore:
        """Names need not be unique."""
        with self.write() as db:
            return _created(db, owner, name, metadata or {})

    def ensure_store(self, owner: str, name: str) -> VectorStore:
        """The oldest store of that name, made where there is none; two callers at the same instant get one store."""
        with self.write() as db:
            return _found(db, owner, "s.name", name) or _created(db, owner, name, {})

    def find_store(self, owner: str, id_or_name: str) -> VectorStore:
        """By id, else the oldest of that name. Raises NotFound."""
        with self.read() as db:
            found = _found(db, owner, "s.id", id_or_name) or _found(db, owner, "s.name", id_or_name)
        if found is None:
            raise NotFound(f"no vector store {id_or_name!r}")
        return found

    def list_stores(
        self, owner: str, *, limit: int = 20, order: Order = "desc", after: str | None = None, before: str | None = None
    ) -> Page[VectorStore]:
        """By creation. after, before: ids of vector stores. Raises NotFound for a cursor that is none."""
        with self.read() as db:
            cursors = [store_number(db, owner, cursor) if cursor else None for cursor in (after, before)]
            rows, more = page(db, _STORES, "s.owner = ?", [owner], "s.n", limit, order, *cursors)
            return Page([vector_store_of(row) for row in rows], more)

    def update_store(
        self, owner: str, store_id: str, *, name: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> VectorStore:
        """None leaves a field as it is. Raises NotFound."""
        with self.write() as db:
            number = store_number(db, owner, store_id)
            if name is not None:
                db.execute("UPDATE vector_stores SET name = ? WHERE n = ?", (name, number))
            if metadata is not None:
                db.execute("UPDATE vector_stores SET metadata = ? WHERE n = ?", (to_json(dict(metadata)), number))
            return _by_id(db, store_id)

    def delete_store(self, owner: str, store_id: str) -> None:
        """With all that it holds; the files themselves stay. Raises NotFound."""
        with self.write() as db:
            db.execute("DELETE FROM vector_stores WHERE n = ?", (store_number(db, owner, store_id),))


class Store(VectorStores, Files, StoreFiles, Versions, Vectors, Publishing, Passages, Changes):
    """Synchronous and thread-safe; give it a thread where an event loop is near."""


def _created(db: sqlite3.Connection, owner: str, name: str, metadata: Mapping[str, str]) -> VectorStore:
    store_id, now = f"vs_{secrets.token_hex(12)}", int(time.time())
    db.execute(
        "INSERT INTO vector_stores (id, owner, name, metadata, created_at, last_active_at) VALUES (?, ?, ?, ?, ?, ?)",
        (store_id, owner, name, to_json(dict(metadata)), now, now),
    )
    return _by_id(db, store_id)


def _by_id(db: sqlite3.Connection, store_id: str) -> VectorStore:
    return vector_store_of(db.execute(f"{_STORES} WHERE s.id = ?", (store_id,)).fetchone())


def _found(db: sqlite3.Connection, owner: str, column: Literal["s.id", "s.name"], value: str) -> VectorStore | None:
    sql = f"{_STORES} WHERE s.owner = ? AND {column} = ? ORDER BY s.n LIMIT 1"
    row = db.execute(sql, (owner, value)).fetchone()
    return vector_store_of(row) if row else None
