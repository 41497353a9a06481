"""The ends of a file version: visible, failed, or gone. Each is one transaction, change log included."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, delete, exists, func, literal, null, select, update

from retrieval.database.constructs import any_of, merged, octets
from retrieval.store.base.composition import composed
from retrieval.store.base.guards import live_version_in_store, lock_stores
from retrieval.store.base.log import log_added
from retrieval.store.base.removal import discard, remove_versions
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import TRIED_ANEW
from retrieval.store.base.tables import (
    chunks,
    documents,
    kept_documents,
    lexical_weights,
    store_files,
    token_codes,
    vectors,
)
from retrieval.store.base.values import Attempt, Superseded
from retrieval.store.outbox.events import announce_files

_V = store_files.c
_OF_VERSION: BindParameter[int] = bindparam("of_version")
_SET = update(store_files).where(_V.version == _OF_VERSION)
_BACK = _SET.values(stage="accepted")
_FAILED = _SET.values(
    status="failed",
    error_code=bindparam("code"),
    error_message=bindparam("message"),
    leased_by=null(),
    lease_until=null(),
)
_CHUNKS = documents.join(chunks, chunks.c.document == documents.c.n)
# A kept one counts while the version that has it is visible: one that was deleted goes in a later transaction.
_THERE = select(func.count()).select_from(kept_documents.join(documents, documents.c.n == kept_documents.c.document))
_THERE = _THERE.join(store_files, _V.version == documents.c.version)
_DOCUMENTS = [
    select(func.count()).where(documents.c.version == _OF_VERSION),
    _THERE.where(kept_documents.c.version == _OF_VERSION, _V.visible == 1),
]
_WITHOUT_VECTOR = (
    select(literal(1))
    .select_from(_CHUNKS)
    .where(documents.c.version == _OF_VERSION, ~exists().where(vectors.c.chunk == chunks.c.key))
    .limit(1)
)
_BYTES = octets(chunks.c.text) + func.length(vectors.c.vector) + func.length(token_codes.c.code)
_USAGE = (
    select(func.coalesce(func.sum(_BYTES + func.coalesce(func.length(lexical_weights.c.weights), 0)), 0))
    .select_from(_CHUNKS)
    .join(vectors, vectors.c.chunk == chunks.c.key)
    .join(token_codes, token_codes.c.chunk == chunks.c.key)
    .outerjoin(lexical_weights, lexical_weights.c.chunk == chunks.c.key)
    .where(documents.c.version == _OF_VERSION)
)
_VISIBLE = _SET.values(
    visible=1, stage="embedded", embedded=_V.chunks, usage_bytes=_USAGE.scalar_subquery(), **TRIED_ANEW
)
_VISIBLE_NOW = select(_V.version).where(
    _V.store == bindparam("store"), _V.filename == bindparam("filename"), _V.visible == 1
)
_KEPT = kept_documents.c.version == _OF_VERSION
_KEEP_NO_MORE = delete(kept_documents).where(_KEPT)
_TAKE_OVER = (
    update(documents)
    .where(documents.c.n.in_(select(kept_documents.c.document).where(_KEPT)))
    .values(
        version=_OF_VERSION,
        attributes=merged(bindparam("given", type_=_V.attributes.type), documents.c.own_attributes),
        composed=merged(bindparam("composed", type_=_V.attributes.type), documents.c.own_attributes),
        ordinal=select(kept_documents.c.ordinal)
        .where(_KEPT, kept_documents.c.document == documents.c.n)
        .scalar_subquery(),
    )
)
_STORES = select(_V.store).distinct().where(any_of(_V.version, "versions"))
_COMPLETED = (
    update(store_files)
    .where(any_of(_V.version, "versions"), _V.status == "in_progress", _V.visible == 1)
    .values(status="completed", stage="indexed", leased_by=null(), lease_until=null())
    .returning(_V.version)
)


class Publishing(Repository):
    """For the ingestor."""

    def publish(self, attempt: Attempt) -> bool:
        """Makes a completely embedded version visible, in the place of the one that its filename had.

        False: something that it had counted on went away meanwhile (a kept document was deleted), so it is back
        at stage `accepted` and must be worked through again. Raises Superseded.
        """
        with self._database.write() as db:
            row = live_version_in_store(db, attempt)
            if row.visible:
                return True
            named = {"of_version": attempt.version}
            if not _is_whole(db, row):
                discard(db, attempt.version)
                db.execute(_BACK, named)
                return False
            log_added(db, row.store, attempt.version)
            _replace_visible(db, row)
            db.execute(_VISIBLE, named)
            return True

    def complete(self, versions: Sequence[int]) -> None:
        """Every index has them; those that are gone meanwhile are left out. Who listens is told, in the same
        transaction.
        """
        named = {"versions": list(versions)}
        with self._database.write(durable=False) as db:
            lock_stores(db, db.scalars(_STORES, named))
            announce_files(db, db.scalars(_COMPLETED, named).all(), self._clock())

    def fail(self, attempt: Attempt, code: str, message: str) -> None:
        """Drops what was pending; what is visible stays so. Who listens is told, in the same transaction.

        Raises Superseded.
        """
        with self._database.write() as db:
            if live_version_in_store(db, attempt).visible:
                raise Superseded(f"{attempt}: it is published already")
            discard(db, attempt.version)
            db.execute(_FAILED, {"of_version": attempt.version, "code": code, "message": message})
            announce_files(db, [attempt.version], self._clock())


def _is_whole(db: Connection, row: Row[Any]) -> bool:
    named = {"of_version": row.version}
    held = sum(db.execute(count, named).scalar_one() for count in _DOCUMENTS)
    whole = db.execute(_WITHOUT_VECTOR, named).first() is None
    return bool(held == row.documents and whole and row.stage in ("chunked", "embedded"))


def _replace_visible(db: Connection, row: Row[Any]) -> None:
    """The filename's visible version goes; what `row` keeps of it becomes the new version's own."""
    old = db.execute(_VISIBLE_NOW, {"store": row.store, "filename": row.filename}).scalar()
    if old is None:
        return
    given = {"given": row.attributes, "composed": composed(row.attributes)}
    db.execute(_TAKE_OVER, {"of_version": row.version, **given})
    db.execute(_KEEP_NO_MORE, {"of_version": row.version})
    remove_versions(db, row.store, [old])
