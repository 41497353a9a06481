"""The rows that a transaction begins with: there, this owner's, still wanted; locked where others must wait.

Rows are locked in one order, so that no two transactions wait for each other: files by number, then vector stores by
number, then generations beside them by number, then file versions, then consumers, then blobs. Only who holds a vector
store takes several of its versions; a worker, which does not, takes one at a time. On SQLite there is one writer, and
nothing to lock.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, or_, select

from retrieval.database.constructs import any_of
from retrieval.store.base.tables import files, store_files, vector_stores
from retrieval.store.base.uses import Uses
from retrieval.store.base.values import Attempt, Expired, NotFound, Superseded

_NAMED = (
    vector_stores.c.id == bindparam("store_id"),
    vector_stores.c.owner == bindparam("owner"),
    vector_stores.c.generation_of.is_(None),
)
_STORE = select(vector_stores).where(*_NAMED)
_NUMBER = select(vector_stores.c.n).where(*_NAMED)
_STORE_LOCKED = _STORE.with_for_update()
_STORES_LOCKED = (
    select(vector_stores.c.n)
    .where(any_of(vector_stores.c.n, "numbers"))
    .order_by(vector_stores.c.generation_of.is_not(None), vector_stores.c.n)
    .with_for_update()
)
UNEXPIRED = or_(files.c.expires_at.is_(None), files.c.expires_at > bindparam("now"))
_FILE = select(files).where(files.c.id == bindparam("file_id"), files.c.owner == bindparam("owner"), UNEXPIRED)
# Of the same content, for whatever purpose: they may share a version, and when one leaves it is told as another.
_UPLOADS = (
    select(files.c.n)
    .where(files.c.owner == bindparam("owner"), files.c.sha256 == bindparam("sha256"))
    .order_by(files.c.n)
)
_UPLOADS_KEPT = _UPLOADS.with_for_update(key_share=True, read=True)
_UPLOADS_LOCKED = _UPLOADS.with_for_update()
_VERSION = select(store_files).where(
    store_files.c.version == bindparam("version"),
    store_files.c.attempt == bindparam("number"),
    store_files.c.status == "in_progress",
)
_VERSION_LOCKED = _VERSION.with_for_update()
_STORE_OF_VERSION = select(store_files.c.store).where(store_files.c.version == bindparam("version"))


def store_number(db: Connection, owner: str, store_id: str) -> int:
    """Raises NotFound."""
    number: int | None = db.execute(_NUMBER, {"owner": owner, "store_id": store_id}).scalar()
    if number is None:
        raise NotFound(f"no vector store {store_id!r}")
    return number


def locked_store(db: Connection, owner: str, store_id: str) -> Row[Any]:
    """Until the transaction ends nobody else changes the vector store or what is in it. Raises NotFound."""
    return _store(db, _STORE_LOCKED, owner, store_id)


def live_store(db: Connection, owner: str, store_id: str, uses: Uses, now: int) -> Row[Any]:
    """Of a vector store that is to be changed, locked. Raises NotFound, Expired."""
    return _unexpired(_store(db, _STORE_LOCKED, owner, store_id), uses, now)


def _store(db: Connection, statement: Select[Any], owner: str, store_id: str) -> Row[Any]:
    named = {"owner": owner, "store_id": store_id}
    row = db.execute(statement, named).first() or db.execute(statement, named).first()  # its row was switched meanwhile
    if row is None:
        raise NotFound(f"no vector store {store_id!r}")
    return row


def _unexpired(row: Row[Any], uses: Uses, now: int) -> Row[Any]:
    if uses.has_expired(row, now):
        raise Expired(f"vector store {row.id!r} has expired")
    return row


def lock_stores(db: Connection, numbers: Iterable[int]) -> None:
    db.execute(_STORES_LOCKED, {"numbers": sorted(set(numbers))}).all()


def file_row(db: Connection, owner: str, file_id: str, now: int) -> Row[Any]:
    """Raises NotFound."""
    return _file(db, _FILE, owner, file_id, now)


def kept_file(db: Connection, owner: str, file_id: str, now: int) -> Row[Any]:
    """It is not deleted before the transaction ends, nor is any other upload of the same. Raises NotFound."""
    row = _file(db, _FILE, owner, file_id, now)
    db.execute(_UPLOADS_KEPT, {"owner": owner, "sha256": row.sha256}).all()
    return _file(db, _FILE, owner, file_id, now)


def locked_file(db: Connection, owner: str, file_id: str, now: int) -> Row[Any]:
    """Nobody else attaches or deletes it, or another upload of the same, before the transaction ends.

    Raises NotFound.
    """
    lock_uploads(db, _file(db, _FILE, owner, file_id, now))
    return _file(db, _FILE, owner, file_id, now)


def lock_uploads(db: Connection, row: Row[Any]) -> None:
    """row: of files, to be looked for again: it may have left meanwhile. With every other upload of the same."""
    db.execute(_UPLOADS_LOCKED, {"owner": row.owner, "sha256": row.sha256}).all()


def _file(db: Connection, statement: Select[Any], owner: str, file_id: str, now: int) -> Row[Any]:
    row = db.execute(statement, {"owner": owner, "file_id": file_id, "now": now}).first()
    if row is None:
        raise NotFound(f"no file {file_id!r}")
    return row


def seen_version(db: Connection, attempt: Attempt) -> Row[Any]:
    """For a step that only reads. Raises Superseded."""
    return _version(db, _VERSION, attempt)


def live_version(db: Connection, attempt: Attempt) -> Row[Any]:
    """For a step that writes: until its transaction ends nobody cancels, deletes or takes up the version.

    Raises Superseded.
    """
    return _version(db, _VERSION_LOCKED, attempt)


def live_version_in_store(db: Connection, attempt: Attempt) -> Row[Any]:
    """The same, its vector store locked before it, for what concerns other versions too. Raises Superseded."""
    number: int | None = db.execute(_STORE_OF_VERSION, {"version": attempt.version}).scalar()
    if number is not None:
        lock_stores(db, [number])
    return live_version(db, attempt)


def _version(db: Connection, statement: Select[Any], attempt: Attempt) -> Row[Any]:
    row = db.execute(statement, {"version": attempt.version, "number": attempt.number}).first()
    if row is None:
        raise Superseded(f"{attempt}: it is no longer in progress")
    return row
