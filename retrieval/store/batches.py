"""Batches: files attached to a vector store in one transaction, and watched together."""

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from retrieval.store.attachments import attach, cancel_versions
from retrieval.store.base.guards import kept_file, live_store, locked_store, store_number
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import ATTACHED, PROGRESS, Order, cursor_values, page, progress_of, store_file_of
from retrieval.store.base.tables import attachments, batch_files, batches, files, store_files
from retrieval.store.base.values import Attachment, Batch, FileCounts, FileStatus, NotFound, Page, Progress, StoreFile
from retrieval.store.outbox.events import announce_batches

_C = batches.c
_BATCH = select(_C.n, _C.id, _C.created_at, _C.cancelled).where(
    _C.id == bindparam("batch_id"), _C.store == bindparam("store")
)
# A file that has left the vector store counts as what it was when it went (retrieval/store/base/removal.py).
_STATUS = func.coalesce(store_files.c.status, batch_files.c.ended)
_THERE = batch_files.c.attachment == attachments.c.n
_COUNTS = (
    select(_STATUS.label("status"), func.count().label("files"))
    .select_from(batch_files.outerjoin(attachments, _THERE))
    .outerjoin(store_files, store_files.c.version == attachments.c.version)
    .where(batch_files.c.batch == bindparam("number"))
    .group_by(_STATUS)
)
_VERSIONS = (
    select(attachments.c.version).distinct().join(batch_files, _THERE).where(batch_files.c.batch == bindparam("number"))
)
_PROGRESS = (
    PROGRESS.join(attachments, attachments.c.version == store_files.c.version)
    .join(batch_files, _THERE)
    .where(batch_files.c.batch == bindparam("number"))
)
_IN_BATCH = ATTACHED.join(batch_files, _THERE).where(batch_files.c.batch == bindparam("number"))
_ORDINAL = (
    select(batch_files.c.ordinal)
    .join(attachments, _THERE)
    .join(files, files.c.n == attachments.c.file)
    .where(files.c.id == bindparam("file_id"), batch_files.c.batch == bindparam("number"))
)
_SET_CANCELLED = update(batches).where(_C.n == bindparam("number")).values(cancelled=1)


class Batches(Repository):
    """/v1/vector_stores/{id}/file_batches. Every call raises NotFound."""

    def create(self, owner: str, store_id: str, wanted: Sequence[Attachment]) -> Batch:
        """All of them are attached, or none where one is unknown. Raises Expired."""
        with self._database.write() as db:
            now = self._now
            for file_id in sorted({each.file_id for each in wanted}):
                kept_file(db, owner, file_id, now)
            store = live_store(db, owner, store_id, self._uses, now)
            attached = dict.fromkeys(attach(db, owner, store, each, now) for each in wanted)
            row = {"id": f"vsfb_{secrets.token_hex(12)}", "store": store.n, "created_at": now}
            batch = db.execute(insert(batches).returning(_C.n, _C.id, _C.created_at, _C.cancelled), row).one()
            rows = [{"batch": batch.n, "ordinal": i, "attachment": number} for i, number in enumerate(attached)]
            if rows:
                db.execute(insert(batch_files), rows)
            announce_batches(db, [store.n], self._clock())  # where nothing was left to do
            return _batch_of(db, store_id, batch)

    def get(self, owner: str, store_id: str, batch_id: str) -> Batch:
        with self._database.read() as db:
            return _batch_of(db, store_id, _batch(db, store_number(db, owner, store_id), store_id, batch_id))

    def files(
        self,
        owner: str,
        store_id: str,
        batch_id: str,
        status: FileStatus | None = None,
        *,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
    ) -> Page[StoreFile]:
        """Those that are still in the vector store. after, before: file ids. Raises UnknownCursor."""

        def ordinal(cursor: str) -> int:
            found: int | None = db.execute(_ORDINAL, {"file_id": cursor, "number": batch.n}).scalar()
            if found is None:
                raise NotFound(cursor)
            return found

        with self._database.read() as db:
            batch = _batch(db, store_number(db, owner, store_id), store_id, batch_id)
            wanted = _IN_BATCH.params(number=batch.n)
            if status is not None:
                wanted = wanted.where(store_files.c.status == status)
            cursors = cursor_values(ordinal, after, before)
            rows, more = page(db, wanted, batch_files.c.ordinal, limit, order, *cursors)
            return Page([store_file_of(row) for row in rows], more)

    def progress(self, owner: str, store_id: str, batch_id: str) -> Progress:
        """Of those that are still in the vector store."""
        with self._database.read() as db:
            batch = _batch(db, store_number(db, owner, store_id), store_id, batch_id)
            return progress_of(db.execute(_PROGRESS, {"number": batch.n}))

    def cancel(self, owner: str, store_id: str, batch_id: str) -> Batch:
        """Stops what is in progress; what is indexed stays."""
        with self._database.write() as db:
            store = locked_store(db, owner, store_id).n
            batch = _batch(db, store, store_id, batch_id)
            if cancel_versions(db, store, sorted(db.scalars(_VERSIONS, {"number": batch.n}))):
                db.execute(_SET_CANCELLED, {"number": batch.n})
                announce_batches(db, [store], self._clock())
            return _batch_of(db, store_id, _batch(db, store, store_id, batch_id))


def _batch(db: Connection, store: int, store_id: str, batch_id: str) -> Row[Any]:
    row: Any = db.execute(_BATCH, {"batch_id": batch_id, "store": store}).first()
    if row is None:
        raise NotFound(f"no file batch {batch_id!r} in vector store {store_id!r}")
    found: Row[Any] = row
    return found


def _batch_of(db: Connection, store_id: str, row: Row[Any]) -> Batch:
    counts: dict[str, int] = {status: count for status, count in db.execute(_COUNTS, {"number": row.n})}  # noqa: C416
    return Batch(row.id, store_id, row.created_at, FileCounts(**counts), bool(row.cancelled))
