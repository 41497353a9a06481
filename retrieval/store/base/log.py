"""The writers' side of the change log: its contract is told in retrieval/store/changes.py.

In the transaction that makes passages visible, or takes them away.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Integer, and_, bindparam, func, insert, literal, select, update

from retrieval.database.columns import LONG
from retrieval.database.constructs import any_of
from retrieval.store.base.tables import changes, chunks, documents, store_files, vector_stores

_CHUNKS_OF = store_files.join(documents, documents.c.version == store_files.c.version).join(
    chunks, chunks.c.document == documents.c.n
)
_WHICH = {
    1: store_files.c.version == bindparam("version"),
    0: and_(any_of(store_files.c.version, "versions"), store_files.c.visible == 1),
}
_COUNTED = {added: select(func.count()).select_from(_CHUNKS_OF).where(which) for added, which in _WHICH.items()}
_ADVANCE = (
    update(vector_stores)
    .where(vector_stores.c.n == bindparam("number"))
    .values(head=vector_stores.c.head + bindparam("count"))
    .returning(vector_stores.c.head)
)


def _logging(added: int) -> Insert:
    """Entries numbered from `base` on, in the order of their keys."""
    seq = bindparam("base", type_=LONG) + func.row_number().over(order_by=chunks.c.key)
    rows = select(store_files.c.store, seq, chunks.c.key, literal(added, Integer)).select_from(_CHUNKS_OF)
    return insert(changes).from_select(["store", "seq", "chunk", "added"], rows.where(_WHICH[added]))


_LOGGING = {added: _logging(added) for added in _WHICH}


def log_added(db: Connection, store: int, version: int) -> None:
    """All passages of a version that becomes visible, in its transaction."""
    _log(db, store, 1, {"version": version})


def log_removed(db: Connection, store: int, versions: Sequence[int]) -> None:
    """The passages of those of the versions that are visible; before they are deleted, in their transaction."""
    _log(db, store, 0, {"versions": list(versions)})


def log_left(db: Connection, store: int, keys: Sequence[int]) -> None:
    """Those passages, of versions that are no longer visible; they are deleted in the same transaction."""
    if keys:
        head = db.execute(_ADVANCE, {"number": store, "count": len(keys)}).scalar_one()
        first = head - len(keys) + 1
        rows = [{"store": store, "seq": first + i, "chunk": key, "added": 0} for i, key in enumerate(sorted(keys))]
        db.execute(insert(changes), rows)


def _log(db: Connection, store: int, added: int, which: Mapping[str, Any]) -> None:
    if count := db.execute(_COUNTED[added], which).scalar_one():
        head = db.execute(_ADVANCE, {"number": store, "count": count}).scalar_one()
        db.execute(_LOGGING[added], {**which, "base": head - count})
