"""How rows leave: with what hangs on them, what the indexes must be told, and what is to be scrubbed.

In the caller's transaction, which holds the vector store's row (retrieval/store/base/guards.py).
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, exists, select, update

from retrieval.database.constructs import any_of
from retrieval.store.base.log import log_removed
from retrieval.store.base.tables import (
    attachments,
    batch_files,
    blobs,
    consumers,
    documents,
    files,
    kept_documents,
    store_files,
    vector_stores,
)

# A file that has left counts in its batches as what it was when it went; one that has left already stays so.
_STATUS = (
    select(store_files.c.status)
    .join(attachments, attachments.c.version == store_files.c.version)
    .where(attachments.c.n == batch_files.c.attachment)
    .scalar_subquery()
)
_END = update(batch_files).values(ended=case((_STATUS == "in_progress", "cancelled"), else_=_STATUS))
_OF_VERSIONS = select(attachments.c.n).where(any_of(attachments.c.version, "versions"))
_END_OF_VERSIONS = _END.where(batch_files.c.attachment.in_(_OF_VERSIONS))
_END_OF_ONE = _END.where(batch_files.c.attachment == bindparam("number"))
_DELETE_VERSIONS = delete(store_files).where(any_of(store_files.c.version, "versions"))
_PENDING = [delete(table).where(table.c.version == bindparam("of_version")) for table in (kept_documents, documents)]
_DELETE_FILE = delete(files).where(files.c.n == bindparam("number"))
_HELD = select(blobs.c.sha256).where(blobs.c.sha256 == bindparam("digest")).with_for_update()
_DOOM = (
    update(blobs)
    .where(blobs.c.sha256 == bindparam("digest"), ~exists().where(files.c.sha256 == blobs.c.sha256))
    .values(doomed=1)
)
_BESIDE = (
    select(vector_stores.c.n)
    .where(vector_stores.c.generation_of == bindparam("store"))
    .order_by(vector_stores.c.n)
    .with_for_update()
)
_THEIRS, _MINE = store_files.alias(), store_files.alias()
_SIBLINGS = (
    select(_THEIRS.c.version, _THEIRS.c.store)
    .join(_MINE, and_(_THEIRS.c.filename == _MINE.c.filename, _THEIRS.c.sha256 == _MINE.c.sha256))
    .where(any_of(_MINE.c.version, "versions"), any_of(_THEIRS.c.store, "stores"))
    .order_by(_THEIRS.c.store, _THEIRS.c.version)
)
DONE, DUE, BEGUN = 0, 1, 2  # consumers.due: a scrub that was begun ends as done only where nothing was deleted since
_UNMARKED = select(consumers.c.consumer).where(consumers.c.due != DUE).order_by(consumers.c.consumer).with_for_update()
_LEFTOVERS = update(consumers).where(consumers.c.due != DUE).values(due=DUE)


def remove_versions(db: Connection, store: int, versions: Sequence[int]) -> None:
    """Of one vector store: with their documents, chunks and vectors, and their removal from the indexes in the log. In
    the generations beside it too.
    """
    if not versions:
        return
    remove_siblings(db, store, versions)
    log_removed(db, store, versions)
    named = {"versions": list(versions)}
    db.execute(_END_OF_VERSIONS, named)
    db.execute(_DELETE_VERSIONS, named)
    mark_leftovers(db)


def remove_siblings(db: Connection, store: int, versions: Sequence[int]) -> None:
    """The same contents in the generations beside the vector store; one that is being built takes them up anew where
    they stay in the vector store.
    """
    for other, rows in groupby(siblings(db, store, versions), key=attrgetter("store")):
        remove_versions(db, other, [row.version for row in rows])


def siblings(db: Connection, store: int, versions: Sequence[int]) -> Sequence[Any]:
    """(version, store) of the same contents in the generations beside the vector store, which are locked; by store."""
    beside = db.scalars(_BESIDE, {"store": store}).all()
    return db.execute(_SIBLINGS, {"versions": list(versions), "stores": list(beside)}).all() if beside else []


def end_in_batches(db: Connection, attachment: int) -> None:
    """Of one that leaves a version which others keep."""
    db.execute(_END_OF_ONE, {"number": attachment})


def discard(db: Connection, version: int) -> None:
    """What is pending of a version: documents, passages, vectors, and what it was to keep of the visible one."""
    for pending in _PENDING:
        db.execute(pending, {"of_version": version})


def remove_file(db: Connection, number: int, digest: str) -> None:
    """One that no vector store has any more; its bytes are doomed where no other file has the same."""
    db.execute(_DELETE_FILE, {"number": number})
    db.execute(_HELD, {"digest": digest}).all()  # a statement of its own: the next one sees whom it waited for
    db.execute(_DOOM, {"digest": digest})
    mark_leftovers(db)


def mark_leftovers(db: Connection) -> None:
    """What was deleted may still stand in free space of the database and in segments of indexes, of every follower."""
    if db.scalars(_UNMARKED).all():  # in their order, as two may want to mark them at once
        db.execute(_LEFTOVERS)
