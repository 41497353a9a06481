"""The source of truth: vector stores, files, passages and their vectors, in SQLite.

Every call takes the owner, and another owner's id is NotFound. What a call has returned from is on disk: kill -9 at any
instant loses nothing of it. Indexes are derived from here by the change log (retrieval/indexes/manager.py).
"""

import secrets
import sqlite3
from collections.abc import Mapping, Sequence

from retrieval.store.attached import Batches, StoreFiles, attach
from retrieval.store.chunks import Changes, Passages
from retrieval.store.database import Database, live_store, store_number, to_json
from retrieval.store.files import Files, Order
from retrieval.store.leftovers import Leftovers
from retrieval.store.lock import DataDirLock, Holder, holder_of
from retrieval.store.publish import Publishing
from retrieval.store.rows import cursor_values, page, vector_store_of
from retrieval.store.types import (
    STORE_PREFIX,
    Attachment,
    DataDirLocked,
    EmbedderMismatch,
    File,
    FileCounts,
    NamedStore,
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

_NAMED = "SELECT n, id, name, created_at, last_active_at, expires_days, expired FROM vector_stores WHERE owner = :owner"
_RESOLVED = f"{_NAMED} AND id = :wanted UNION ALL {_NAMED} AND name = :wanted ORDER BY n"
# One pass over an index that has all of it, however many vector stores.
_COUNTS = """
SELECT store, status, count(*) AS files, sum(usage_bytes) AS bytes
FROM store_files WHERE store IN (SELECT value FROM json_each(?)) GROUP BY store, status
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
            store_id, now = f"{STORE_PREFIX}{secrets.token_hex(12)}", self.now
            db.execute(
                "INSERT INTO vector_stores (id, owner, name, metadata, created_at, last_active_at, description,"
                " expires_days) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (store_id, owner, name, to_json(dict(metadata or {})), now, now, description, expires_days),
            )
            for wanted in files:
                attach(db, owner, store_id, wanted, self.uses, now)
            return self._counted(db, [_row(db, store_number(db, owner, store_id))])[0]

    def ensure_store(self, owner: str, name: str) -> VectorStore:
        """The oldest store of that name, made where there is none; two callers at the same instant get one store."""
        with self.alone():
            found = self._named(owner, name)
            wanted = next((store for store in found if store.name == name and not store.expired), None)
            return self.find_store(owner, wanted.id) if wanted is not None else self.create_store(owner, name)

    def resolve(self, owner: str, id_or_name: str) -> NamedStore:
        """By id, else the oldest of that name, one that has not expired first. One statement, which takes as long for
        one file as for 50,000. Raises NotFound.
        """
        found = self._named(owner, id_or_name)
        first = min(found, key=lambda store: (store.id != id_or_name, store.expired), default=None)
        if first is None:
            raise NotFound(f"no vector store {id_or_name!r}")
        return first

    def find_store(self, owner: str, id_or_name: str) -> VectorStore:
        """As `resolve`, with the counts of its files, which take a time that grows with them. Raises NotFound."""
        found = self.resolve(owner, id_or_name)
        with self.read() as db:
            return self._counted(db, [_row(db, store_number(db, owner, found.id))])[0]

    def named_stores(self, owner: str) -> list[NamedStore]:
        """All of them, oldest first, without counts."""
        with self.read() as db:
            return [self._name_of(row) for row in db.execute(f"{_NAMED} ORDER BY n", {"owner": owner})]

    def list_stores(
        self, owner: str, *, limit: int = 20, order: Order = "desc", after: str | None = None, before: str | None = None
    ) -> Page[VectorStore]:
        """By creation. after, before: ids of vector stores. Raises UnknownCursor."""
        with self.read() as db:
            cursors = cursor_values(lambda cursor: store_number(db, owner, cursor), after, before)
            rows, more = page(db, "SELECT * FROM vector_stores", "owner = ?", [owner], "n", limit, order, *cursors)
            return Page(self._counted(db, rows), more)

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
            number = live_store(db, owner, store_id, self.uses, self.now)["n"]
            if name is not None:
                db.execute("UPDATE vector_stores SET name = ? WHERE n = ?", (name, number))
            if metadata is not None:
                db.execute("UPDATE vector_stores SET metadata = ? WHERE n = ?", (to_json(dict(metadata)), number))
            if expires_days is not None:
                db.execute("UPDATE vector_stores SET expires_days = nullif(?, 0) WHERE n = ?", (expires_days, number))
            return self._counted(db, [_row(db, number)])[0]

    def delete_store(self, owner: str, store_id: str) -> None:
        """With all that it holds; the files themselves stay. Raises NotFound."""
        with self.write() as db:
            db.execute("DELETE FROM vector_stores WHERE n = ?", (store_number(db, owner, store_id),))

    def use(self, owner: str, store_id: str) -> None:
        """It is to be searched: its time to expiry begins anew, in memory; `write_uses` writes it down.

        Raises NotFound, Expired.
        """
        now = self.now
        with self.read() as db:
            store = live_store(db, owner, store_id, self.uses, now)
        self.uses.note(store["n"], now)

    def _named(self, owner: str, id_or_name: str) -> list[NamedStore]:
        """Of that id or that name, oldest first."""
        with self.read() as db:
            found = db.execute(_RESOLVED, {"owner": owner, "wanted": id_or_name})
            return [self._name_of(row) for row in found]

    def _name_of(self, row: sqlite3.Row) -> NamedStore:
        return NamedStore(row["id"], row["name"], row["created_at"], self.uses.has_expired(row, self.now))

    def _counted(self, db: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> list[VectorStore]:
        """rows: of vector_stores, read in the same transaction."""
        counts: dict[int, dict[str, int]] = {row["n"]: {} for row in rows}
        usage = dict.fromkeys(counts, 0)
        for row in db.execute(_COUNTS, (to_json(list(counts)),)):
            counts[row["store"]][row["status"]] = row["files"]
            usage[row["store"]] += row["bytes"]
        now = self.now
        return [vector_store_of(r, FileCounts(**counts[r["n"]]), usage[r["n"]], self.uses, now) for r in rows]


def _row(db: sqlite3.Connection, number: int) -> sqlite3.Row:
    row: sqlite3.Row = db.execute("SELECT * FROM vector_stores WHERE n = ?", (number,)).fetchone()
    return row


class Store(VectorStores, Files, StoreFiles, Batches, Versions, Vectors, Publishing, Passages, Changes, Leftovers):
    """Synchronous and thread-safe; near an event loop it is called in its `reads` and `writes`."""
