"""The writers' side: what happened becomes an event for each who listens, in the transaction in which it happened.

Nothing is written where nobody listens. The vector stores are held by the caller (retrieval/store/base/guards.py), so
that of two who end the last files of a batch the second sees both.
"""

import json
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, update

from retrieval.database.columns import to_json
from retrieval.database.constructs import any_of
from retrieval.store.base.rows import ATTACHED, store_file_of
from retrieval.store.base.tables import attachments, batch_files, batches, store_files, vector_stores
from retrieval.store.base.values import FileCounts, StoreFile
from retrieval.store.outbox.tables import webhook_deliveries, webhook_events, webhooks

_W, _B = webhooks.c, batches.c
_ANYBODY = select(_W.n).where(_W.enabled == 1).limit(1)
# None of them is deleted before the transaction ends.
_LISTENING = (
    select(_W.n, _W.events)
    .where(_W.owner == bindparam("owner"), _W.enabled == 1)
    .order_by(_W.n)
    .with_for_update(read=True, key_share=True)
)
_EVENT = insert(webhook_events).returning(webhook_events.c.n)
_DELIVERIES = insert(webhook_deliveries)
_FILES = ATTACHED.where(any_of(store_files.c.version, "versions")).order_by(attachments.c.n)
_OPEN: Select[Any] = (
    select(_B.n, _B.id, _B.created_at, _B.cancelled, vector_stores.c.id.label("store_id"), vector_stores.c.owner)
    .join(vector_stores, vector_stores.c.n == _B.store)
    .where(any_of(_B.store, "stores"), _B.announced == 0)
)
_MEMBERS = batch_files.outerjoin(attachments, attachments.c.n == batch_files.c.attachment).outerjoin(
    store_files, store_files.c.version == attachments.c.version
)
# The files of a batch end about in their order: the first that is looked at is among the last to end.
_RUNNING = (
    select(batch_files.c.ordinal)
    .select_from(_MEMBERS)
    .where(batch_files.c.batch == bindparam("number"), store_files.c.status == "in_progress")
    .order_by(batch_files.c.ordinal.desc())
    .limit(1)
)
_STATUS = func.coalesce(store_files.c.status, batch_files.c.ended)
_COUNTS = (
    select(_STATUS, func.count()).select_from(_MEMBERS).where(batch_files.c.batch == bindparam("number"))
).group_by(_STATUS)
_ANNOUNCED = update(batches).where(_B.n == bindparam("number")).values(announced=1)
LAST_DELIVERIES = "last deliveries"  # who takes deliveries away is alone: with the last one its event goes, too
OPEN_STORES = select(_B.store).distinct().where(_B.announced == 0).order_by(_B.store)


def put(db: Connection, owner: str, type: str, data: Mapping[str, Any], now: float) -> None:
    """One event, for every enabled webhook of the owner that is to hear of the type. now: Unix seconds."""
    if to := [row.n for row in db.execute(_LISTENING, {"owner": owner}) if _wants(row.events, type)]:
        put_for(db, to, type, data, now)


def put_for(db: Connection, to: Sequence[int], type: str, data: Mapping[str, Any], now: float) -> list[str]:
    """For these webhooks, whatever they listen to: the ids of the deliveries."""
    happened = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    payload = to_json({"type": type, "timestamp": happened, "data": data})
    row = {"id": f"msg_{secrets.token_hex(12)}", "type": type, "payload": payload, "created_at": now}
    event: int = db.execute(_EVENT, row).scalar_one()
    rows = [{"id": f"whd_{secrets.token_hex(12)}", "webhook": each, "event": event, "due": now} for each in to]
    db.execute(_DELIVERIES, rows)
    return [str(each["id"]) for each in rows]


def announce_files(db: Connection, versions: Sequence[int], now: float) -> None:
    """Of versions that are completed or failed now: of every file that shares one, and of the batches that end so."""
    if not versions:
        return
    if _anybody(db):
        for row in db.execute(_FILES, {"versions": list(versions)}).all():
            file = store_file_of(row)
            put(db, row.owner, f"file.{file.status}", _of_file(file), now)
    stores = select(store_files.c.store).distinct().where(any_of(store_files.c.version, "versions"))
    announce_batches(db, db.scalars(stores, {"versions": list(versions)}).all(), now)


def announce_batches(db: Connection, stores: Iterable[int], now: float) -> None:
    """Those of these vector stores in which the last file has ended; each once, however its files ended."""
    for batch in db.execute(_OPEN, {"stores": list(stores)}).all():
        number = {"number": batch.n}
        if db.execute(_RUNNING, number).first() is None:
            db.execute(_ANNOUNCED, number)
            _announce(db, batch, now)


def _announce(db: Connection, batch: Row[Any], now: float) -> None:
    if not _anybody(db):
        return
    counts: defaultdict[str, int] = defaultdict(int)
    for status, count in db.execute(_COUNTS, {"number": batch.n}):
        counts[status] += count
    told = FileCounts(**counts)
    status = "cancelled" if batch.cancelled else "failed" if told.total and told.failed == told.total else "completed"
    data = {"batch_id": batch.id, "vector_store_id": batch.store_id, "status": status, "created_at": batch.created_at}
    of_kind = {name: getattr(told, name) for name in ("completed", "failed", "cancelled", "total")}
    type = "batch.failed" if status == "failed" else "batch.completed"
    put(db, batch.owner, type, {**data, "file_counts": of_kind}, now)


def _of_file(file: StoreFile) -> dict[str, Any]:
    """error.code: the exact one, which the API has as `ragpod.error_code`."""
    error, warned = file.error, file.warnings
    return {
        "file_id": file.file_id,
        "vector_store_id": file.store_id,
        "filename": file.filename,
        "status": file.status,
        "last_error": {"code": error.code, "message": error.message} if error else None,
        "usage_bytes": file.usage_bytes,
        "documents": file.documents,
        "chunks": file.chunks,
        "warnings": {"count": warned.count, "messages": list(warned.messages)},
    }


def _anybody(db: Connection) -> bool:
    """Mostly nobody has a webhook."""
    return db.execute(_ANYBODY).first() is not None


def _wants(events: str | None, type: str) -> bool:
    return events is None or type in json.loads(events)
