"""How rows leave: with what hangs on them, what the indexes must be told, and what is to be scrubbed.

In the caller's transaction, which holds the vector store's row (retrieval/store/base/guards.py).
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, case, delete, exists, select, update

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
DONE, DUE, BEGUN = 0, 1, 2  # consumers.due: a scrub that was begun ends as done only where nothing was deleted since
_UNMARKED = select(consumers.c.consumer).where(consumers.c.due != DUE).order_by(consumers.c.consumer).with_for_update()
_LEFTOVERS = update(consumers).where(consumers.c.due != DUE).values(due=DUE)


def remove_versions(db: Connection, store: int, versions: Sequence[int]) -> None:
    """Of one vector store: with their documents, chunks and vectors, and their removal from the indexes in the log."""
    if not versions:
        return
    log_removed(db, store, versions)
    named = {"versions": list(versions)}
    db.execute(_END_OF_VERSIONS, named)
    db.execute(_DELETE_VERSIONS, named)
    mark_leftovers(db)


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
