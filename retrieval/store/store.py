"""The source of truth: vector stores, files, passages and their vectors, in SQLite.

Every call takes the owner, and another owner's id is NotFound. What a call has returned from is on disk: kill -9 at any
instant loses nothing of it. Indexes are derived from here by the change log (retrieval/indexes/manager.py).
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Literal

from retrieval.store.attached import Batches, StoreFiles, attach
from retrieval.store.chunks import Changes, Passages
from retrieval.store.database import Database, live_store, store_number, to_json
from retrieval.store.files import Files, Order
from retrieval.store.leftovers import Leftovers
from retrieval.store.lock import DataDirLock, Holder, holder_of
from retrieval.store.publish import Publishing
from retrieval.store.rows import cursor_values, page, vector_store_of
from retrieval.store.types import (
    Attachment,
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
from retrieval.store.versions import Vectors, Versions

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

_USE_SECONDS = 60
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

    def create_store(
        self,
        owner: str,
        name: str,
        metadata: Mapping[str, str] | None = None,
        *,
        description: str = "",
        expires_days: int | None = None,
        files: Sequence[Attachment] = (),
    ) -> VectorStore:
        """Names need not be unique. files: attached to it; one that is unknown, and there is no vector store.

        Raises NotFound.
        """
        with self.write() as db:
            store_id, now = f"vs_{secrets.token_hex(12)}", self.now
            db.execute(
                "INSERT INTO vector_stores (id, owner, name, metadata, created_at, last_active_at, description,"
                " expires_days) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (store_id, owner, name, to_json(dict(metadata or {})), now, now, description, expires_days),
            )
            for wanted in files:
                attach(db, owner, store_id, wanted, now)
            return vector_store_of(db.execute(f"{_STORES} WHERE s.id = ?", (store_id,)).fetchone(), now)

    def ensure_store(self, owner: str, name: str) -> VectorStore:
        """The oldest store of that name, made where there is none; two callers at the same instant get one store."""
        with self.alone():
            found = self._found(owner, "s.name", name)
            return found if found is not None and not found.expired else self.create_store(owner, name)

    def find_store(self, owner: str, id_or_name: str) -> VectorStore:
        """By id, else the oldest of that name, one that has not expired first. Raises NotFound."""
        found = self._found(owner, "s.id", id_or_name) or self._found(owner, "s.name", id_or_name)
        if found is None:
            raise NotFound(f"no vector store {id_or_name!r}")
        return found

    def list_stores(
        self, owner: str, *, limit: int = 20, order: Order = "desc", after: str | None = None, before: str | None = None
    ) -> Page[VectorStore]:
        """By creation. after, before: ids of vector stores. Raises UnknownCursor."""
        with self.read() as db:
            cursors = cursor_values(lambda cursor: store_number(db, owner, cursor), after, before)
            rows, more = page(db, _STORES, "s.owner = ?", [owner], "s.n", limit, order, *cursors)
            return Page([vector_store_of(row, self.now) for row in rows], more)

    def update_store(
        self,
        owner: str,
        store_id: str,
        *,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_days: int | None = None,
    ) -> VectorStore:
        """None leaves a field as it is; expires_days 0: for ever. Raises NotFound, Expired."""
        with self.write() as db:
            number = live_store(db, owner, store_id, self.now)["n"]
            if name is not None:
                db.execute("UPDATE vector_stores SET name = ? WHERE n = ?", (name, number))
            if metadata is not None:
                db.execute("UPDATE vector_stores SET metadata = ? WHERE n = ?", (to_json(dict(metadata)), number))
            if expires_days is not None:
                db.execute("UPDATE vector_stores SET expires_days = nullif(?, 0) WHERE n = ?", (expires_days, number))
            return vector_store_of(db.execute(f"{_STORES} WHERE s.n = ?", (number,)).fetchone(), self.now)

    def delete_store(self, owner: str, store_id: str) -> None:
        """With all that it holds; the files themselves stay. Raises NotFound."""
        with self.write() as db:
            db.execute("DELETE FROM vector_stores WHERE n = ?", (store_number(db, owner, store_id),))

    def use(self, owner: str, store_id: str) -> None:
        """It is to be searched: its time to expiry begins anew. Written once a minute at most.

        Raises NotFound, Expired.
        """
        with self.read() as db:
            store = live_store(db, owner, store_id, self.now)
        if self.now - store["last_active_at"] >= _USE_SECONDS:
            with self.write(durable=False) as db:
                db.execute("UPDATE vector_stores SET last_active_at = ? WHERE n = ?", (self.now, store["n"]))

    def _found(self, owner: str, column: Literal["s.id", "s.name"], value: str) -> VectorStore | None:
        sql = f"{_STORES} WHERE s.owner = ? AND {column} = ? ORDER BY s.n"
        with self.read() as db:
            found = [vector_store_of(row, self.now) for row in db.execute(sql, (owner, value))]
        return min(found, key=lambda store: store.expired, default=None)


class Store(VectorStores, Files, StoreFiles, Batches, Versions, Vectors, Publishing, Passages, Changes, Leftovers):
    """Synchronous and thread-safe; give it a thread where an event loop is near."""
