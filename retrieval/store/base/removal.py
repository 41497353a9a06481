"""How rows leave: with what hangs on them, what the indexes must be told, and what is to be scrubbed.

In the caller's transaction, which takes rows in the order of retrieval/store/base/guards.py.

What is deleted by name goes in two parts, so that a full disk needs room for a few passages at a time, however many
there are. First nobody finds it any more, by some small rows (`leave_*`): a version has no attachment, a vector store
has no owner, a file's time is over and its name is free for another one. Then it goes in steps, each a transaction of
`most` rows of a kind at most (`remove_*_step`, False at the end), its own row last. What a killed process has left of
that is done by upkeep (retrieval/store/retention.py). Passages are told of in the change log in the step that deletes
them; until then their version is GONE: the indexes have them, and searches do not see them.
"""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    null,
    or_,
    select,
    update,
)

from retrieval.database.constructs import any_of
from retrieval.store.base.guards import lock_stores
from retrieval.store.base.log import log_left, log_removed
from retrieval.store.base.tables import (
    attachments,
    batch_files,
    batches,
    blobs,
    changes,
    chunks,
    consumers,
    documents,
    files,
    kept_documents,
    store_files,
    vector_stores,
)

GONE = -1  # of store_files.visible
NOBODY = ""  # of vector_stores.owner
_V, _D, _F, _S = store_files.c, documents.c, files.c, vector_stores.c
_MOST: BindParameter[int] = bindparam("most")
# A file that has left counts in its batches as what it was when it went; one that has left already stays so.
_STATUS = (
    select(_V.status)
    .join(attachments, attachments.c.version == _V.version)
    .where(attachments.c.n == batch_files.c.attachment)
    .scalar_subquery()
)
_END = update(batch_files).values(ended=case((_STATUS == "in_progress", "cancelled"), else_=_STATUS))
_OF_VERSIONS = select(attachments.c.n).where(any_of(attachments.c.version, "versions"))
_END_OF_VERSIONS = _END.where(batch_files.c.attachment.in_(_OF_VERSIONS))
_END_OF_ONE = _END.where(batch_files.c.attachment == bindparam("number"))
_DETACH_VERSIONS = delete(attachments).where(any_of(attachments.c.version, "versions"))
_DELETE_VERSIONS = delete(store_files).where(any_of(_V.version, "versions"))
_PENDING = [delete(table).where(table.c.version == bindparam("of_version")) for table in (kept_documents, documents)]
_LEAVES = _V.files == 0
_LEAVE_VERSIONS = (
    update(store_files)
    .where(any_of(_V.version, "versions"))
    .values(visible=case((_V.visible == 1, GONE), else_=_V.visible), status="cancelled", files=0, usage_bytes=0)
    .values(filename="", sha256=cast(_V.version, Text), leased_by=None, lease_until=None)  # its name is free
)
_OF_STORE = select(_V.version, _V.visible).where(_V.store == bindparam("store")).order_by(_V.version).limit(_MOST)
_DOCUMENTS = select(_D.n, _D.version).where(any_of(_D.version, "versions")).limit(_MOST)
_CHUNKS = select(chunks.c.key, chunks.c.document).where(any_of(chunks.c.document, "documents")).limit(_MOST)
_DELETE_CHUNKS = delete(chunks).where(any_of(chunks.c.key, "keys"))
_DELETE_DOCUMENTS = delete(documents).where(any_of(_D.n, "documents"))
_LEFT_OF_FILE = select(_V.store).where(_V.file == bindparam("number"), _LEAVES).limit(1)
_LEAVE_STORE = (
    update(vector_stores)
    .where(or_(_S.n == bindparam("number"), _S.generation_of == bindparam("number")))
    .values(owner=NOBODY, generation_of=null(), generation_state=null())
)
_STORE_LOCKED = select(_S.n).where(_S.n == bindparam("number"), _S.owner == NOBODY).with_for_update()
_DELETE_STORE = delete(vector_stores).where(_S.n == bindparam("number"))
# No upload has that time, or that purpose.
_LEAVE_FILE = update(files).where(_F.n == bindparam("number")).values(expires_at=0, purpose="deleted " + _F.id)
_FILE_LOCKED = select(files).where(_F.n == bindparam("number"), _F.expires_at == 0).with_for_update()
_DELETE_FILE = delete(files).where(_F.n == bindparam("number"))
_HELD = select(blobs.c.sha256).where(blobs.c.sha256 == bindparam("digest")).with_for_update()
_DOOM = update(blobs).where(blobs.c.sha256 == bindparam("digest"), ~exists().where(_F.sha256 == blobs.c.sha256))
_DOOM = _DOOM.values(doomed=1)
_BESIDE = select(_S.n).where(_S.generation_of == bindparam("store")).order_by(_S.n).with_for_update()
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
    """Of one vector store, at once: with their documents, chunks and vectors, and what the change log tells of it. In
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


def leave_versions(db: Connection, store: int, versions: Sequence[int]) -> None:
    """Nobody has them any more, and no search sees them; in the generations beside their vector store neither. It is
    held.
    """
    named = {"versions": [*versions, *(each.version for each in siblings(db, store, versions))]}
    db.execute(_END_OF_VERSIONS, named)
    db.execute(_DETACH_VERSIONS, named)
    db.execute(_LEAVE_VERSIONS, named)
    mark_leftovers(db)


def remove_versions_step(db: Connection, store: int, most: int) -> bool:
    """Of the versions that leave a vector store, and then of those that leave the generations beside it."""
    if _versions_step(db, store, most):
        return True
    return any(_versions_step(db, other, most) for other in db.scalars(_BESIDE, {"store": store}).all())


def _versions_step(db: Connection, store: int, most: int, which: ColumnElement[bool] = _LEAVES) -> bool:
    """Of one generation. which: others that may go without being told of."""
    lock_stores(db, [store])
    versions = db.execute(_OF_STORE.where(which), {"store": store, "most": most}).all()
    named = {"versions": [each.version for each in versions]}
    found = db.execute(_DOCUMENTS, {**named, "most": most}).all()
    passages = db.execute(_CHUNKS, {"documents": [each.n for each in found], "most": most}).all()
    gone = {each.version for each in versions if each.visible == GONE}
    told = {each.n for each in found if each.version in gone}
    log_left(db, store, [key for key, document in passages if document in told])
    db.execute(_DELETE_CHUNKS, {"keys": [key for key, _ in passages]})
    if len(passages) < most:
        db.execute(_DELETE_DOCUMENTS, {"documents": [each.n for each in found]})
        of_versions = any_of(kept_documents.c.version, "versions", named["versions"])
        if len(found) < most and not _some_gone(db, kept_documents, kept_documents.c.document, of_versions, most):
            db.execute(_DELETE_VERSIONS, named)
            mark_leftovers(db)
    return bool(versions)


def leave_store(db: Connection, number: int) -> list[int]:
    """It is held. Its files go with its row, and so do the generations beside it: all that is to be removed then."""
    leaving = [number, *db.scalars(_BESIDE, {"store": number})]
    db.execute(_LEAVE_STORE, {"number": number})
    mark_leftovers(db)
    return leaving


def remove_store_step(db: Connection, number: int, most: int) -> bool:
    """Of one that leaves; the indexes are told by its absence."""
    if db.execute(_STORE_LOCKED, {"number": number}).first() is None:
        return False
    of_batches = select(batches.c.n).where(batches.c.store == number)
    if (
        _versions_step(db, number, most, _V.store == number)
        or _some_gone(db, batch_files, batch_files.c.attachment, batch_files.c.batch.in_(of_batches), most)
        or _some_gone(db, changes, changes.c.seq, changes.c.store == number, most)
    ):
        return True
    db.execute(_DELETE_STORE, {"number": number})
    mark_leftovers(db)
    return False


def _some_gone(db: Connection, table: Table, column: ColumnElement[int], where: ColumnElement[bool], most: int) -> bool:
    """column: one that tells rows apart among those."""
    rows = db.scalars(select(column).where(where).limit(most)).all()
    if rows:
        db.execute(delete(table).where(where, any_of(column, "rows")), {"rows": rows})
    return bool(rows)


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


def leave_file(db: Connection, number: int) -> None:
    """One that has no attachment any more: it is not found, and its name is free for another one."""
    db.execute(_LEAVE_FILE, {"number": number})


def remove_file_step(db: Connection, number: int, most: int) -> bool:
    """Of one that leaves: the versions that were read from it first. Its bytes are doomed with its row, where no other
    file has the same.
    """
    row: Row[Any] | None = db.execute(_FILE_LOCKED, {"number": number}).first()
    if row is None:
        return False
    store: int | None = db.execute(_LEFT_OF_FILE, {"number": number}).scalar()
    if store is not None:
        return _versions_step(db, store, most, _LEAVES & (_V.file == number))
    db.execute(_DELETE_FILE, {"number": number})
    mark_leftovers(db)
    db.execute(_HELD, {"digest": row.sha256}).all()  # a statement of its own: the next one sees whom it waited for
    db.execute(_DOOM, {"digest": row.sha256})
    return False


def mark_leftovers(db: Connection) -> None:
    """What was deleted may still stand in free space of the database and in segments of indexes, of every follower."""
    if db.scalars(_UNMARKED).all():  # in their order, as two may want to mark them at once
        db.execute(_LEFTOVERS)
