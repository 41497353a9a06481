"""The change log of each vector store: which passages became visible, and which left.

The contract, on which the indexes and whoever else follows it build:

- `seq` counts from 1 in each vector store, without a gap, in the order in which transactions commit, on SQLite and on
  PostgreSQL: whoever publishes (retrieval/store/base/log.py) takes its numbers from the vector store's own `head` by an
  UPDATE, whose row lock it holds until it commits. So whoever has read everything up to a seq has missed nothing below
  it, however many write.
- A key is never used for another passage, and what stands under it never changes.
- A follower tells for each index the seq that it has on disk (`acknowledge`), under a name of its own: its cursors. The
  log keeps what a live follower still lacks; one that was not heard of for LIVE_SECONDS does not hold it back.
- Whoever finds its own seq below the `floor` has missed changes, and builds anew from `Passages.visible_keys`, which
  tells the head that it is level with.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    literal,
    select,
    tuple_,
    update,
)

from retrieval.database.constructs import greatest
from retrieval.database.engine import Database
from retrieval.store.base.removal import NOBODY
from retrieval.store.base.repository import Repository
from retrieval.store.base.tables import changes, index_cursors, vector_stores
from retrieval.store.base.uses import Uses
from retrieval.store.base.values import LIVE_SECONDS, Change, LogState, LogTrimmed, NotFound, VectorSpace

_STORE = select(vector_stores).where(vector_stores.c.index_id == bindparam("store_id"), vector_stores.c.owner != NOBODY)
_STORE_LOCKED = _STORE.with_for_update()
_IDS = select(vector_stores.c.index_id).where(vector_stores.c.owner != NOBODY).order_by(vector_stores.c.n)
_IDS_OF = _IDS.where(vector_stores.c.owner == bindparam("owner"))
_AFTER = (
    select(changes.c.seq, changes.c.chunk, changes.c.added)
    .where(changes.c.store == bindparam("store"), changes.c.seq > bindparam("after"))
    .order_by(changes.c.seq)
    .limit(bindparam("most"))
)
_CURSOR = index_cursors.c
_MINE = (_CURSOR.store == bindparam("of_store"), _CURSOR.consumer == bindparam("of_consumer"))
_FORGET_OTHERS = delete(index_cursors).where(*_MINE, _CURSOR.index.not_in(bindparam("kept", expanding=True)))
_APPLIED = select(func.min(_CURSOR.applied)).where(*_MINE)
_LOWEST = select(func.min(_CURSOR.applied)).where(
    _CURSOR.store == bindparam("store"), _CURSOR.seen_at >= bindparam("live")
)
# Those that are held are being acknowledged just now, and seen thereby: to wait for them would be to wait in no order.
_UNHELD = (
    select(_CURSOR.store, _CURSOR.index)
    .where(_CURSOR.consumer == bindparam("of_consumer"))
    .with_for_update(skip_locked=True)
)
_SEEN = (
    update(index_cursors)
    .where(_CURSOR.consumer == bindparam("of_consumer"), tuple_(_CURSOR.store, _CURSOR.index).in_(_UNHELD))
    .values(seen_at=bindparam("now"))
)
_TRIM = delete(changes).where(changes.c.store == bindparam("store"), changes.c.seq <= bindparam("through"))
_RAISE_FLOOR = (
    update(vector_stores)
    .where(vector_stores.c.n == bindparam("store"))
    .values(log_floor=greatest(vector_stores.c.log_floor, bindparam("through")))
)
_REMOVALS = (
    select(literal(1))
    .where(changes.c.store == bindparam("store"), changes.c.seq > bindparam("after"), changes.c.added == 0)
    .limit(1)
)


class Changes(Repository):
    """For the derived indexes of a vector store, which belong to no owner: never behind a route.

    Here, and wherever else indexes are, store_id is a generation's index_id: of a vector store that was never switched
    its own id.

    consumer: the name of one data folder with its indexes, of those that follow.
    """

    def __init__(self, database: Database, clock: Callable[[], float], uses: Uses, consumer: str) -> None:
        super().__init__(database, clock, uses)
        self.consumer = consumer

    def store_ids(self, owner: str | None = None) -> list[str]:
        """None: of every owner."""
        with self._database.one() as db:
            found = db.scalars(_IDS) if owner is None else db.scalars(_IDS_OF, {"owner": owner})
            return list(found)

    def state(self, store_id: str) -> LogState:
        """Raises NotFound."""
        with self._database.one() as db:
            row = _store(db, store_id)
        space = VectorSpace(row.embedder, row.dim, bool(row.lexical)) if row.embedder else None
        return LogState(row.head, row.log_floor, space)

    def after(self, store_id: str, seq: int, limit: int) -> list[Change]:
        """Ascending. Raises LogTrimmed, NotFound."""
        with self._database.read() as db:
            store = _store(db, store_id)
            if seq < store.log_floor:
                raise LogTrimmed(f"the log of {store_id!r} begins after {store.log_floor}, not after {seq}")
            which = {"store": store.n, "after": seq, "most": limit}
            return [Change(row.seq, row.chunk, bool(row.added)) for row in db.execute(_AFTER, which)]

    def acknowledge(self, store_id: str, applied: Mapping[str, int]) -> None:
        """This consumer's cursors: which seq each index has on disk. The log forgets what no live cursor lacks.

        applied: of all indexes that it has of the vector store. Raises NotFound.
        """
        now = self._now
        with self._database.write() as db:
            store = _locked_store(db, store_id).n
            mine = {"of_store": store, "of_consumer": self.consumer}
            db.execute(_FORGET_OTHERS, {**mine, "kept": list(applied)})
            for index, seq in sorted(applied.items()):
                row = {"store": store, "index": index, "consumer": self.consumer, "applied": seq, "seen_at": now}
                db.execute(_put_cursor(self._database), row)
            lowest = db.execute(_LOWEST, {"store": store, "live": now - LIVE_SECONDS}).scalar()
            if lowest:
                db.execute(_TRIM, {"store": store, "through": lowest})
                db.execute(_RAISE_FLOOR, {"store": store, "through": lowest})

    def stay_alive(self) -> None:
        """This consumer's cursors hold the log back for another LIVE_SECONDS."""
        with self._database.write(durable=False) as db:
            db.execute(_SEEN, {"of_consumer": self.consumer, "now": self._now})

    def has_removals(self, store_id: str) -> bool:
        """Whether the log tells of passages that left, which an index of this consumer may still have on disk."""
        with self._database.read() as db:
            if (found := db.execute(_STORE, {"store_id": store_id}).first()) is None:
                return False
            applied = db.execute(_APPLIED, {"of_store": found.n, "of_consumer": self.consumer}).scalar()
            return db.execute(_REMOVALS, {"store": found.n, "after": applied or 0}).first() is not None


def _put_cursor(database: Database) -> Any:
    """Each database's own INSERT knows ON CONFLICT."""
    row = database.insert(index_cursors)
    given = {"applied": row.excluded.applied, "seen_at": row.excluded.seen_at}
    return row.on_conflict_do_update(index_elements=["store", "index", "consumer"], set_=given)


def _store(db: Connection, store_id: str) -> Row[Any]:
    return _found(db, _STORE, store_id)


def _locked_store(db: Connection, store_id: str) -> Row[Any]:
    return _found(db, _STORE_LOCKED, store_id)


def _found(db: Connection, statement: Select[Any], store_id: str) -> Row[Any]:
    row = db.execute(statement, {"store_id": store_id}).first()
    if row is None:
        raise NotFound(f"no vector store {store_id!r}")
    return row
