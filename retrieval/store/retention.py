"""What goes by itself: what has expired, and what deleting leaves behind on disk."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select, update

from retrieval.database.engine import Database
from retrieval.store.base.guards import lock_stores, lock_uploads
from retrieval.store.base.removal import (
    BEGUN,
    DONE,
    DUE,
    NOBODY,
    leave_versions,
    remove_file_step,
    remove_store_step,
    remove_versions_step,
)
from retrieval.store.base.repository import Repository, Step
from retrieval.store.base.tables import consumers, files, store_files, vector_stores
from retrieval.store.base.uses import Uses
from retrieval.store.base.values import DAY
from retrieval.store.blobs import Blobs
from retrieval.store.files import let_go

_EXPIRED_FILE = select(files).where(files.c.expires_at <= bindparam("now")).order_by(files.c.n).limit(1)
_STILL = select(files).where(files.c.n == bindparam("number"), files.c.expires_at <= bindparam("now"))
_S = vector_stores.c
_ENDS = _S.last_active_at + _S.expires_days * DAY
_EXPIRED_STORE = (
    select(vector_stores)
    .where(_S.expired == 0, bindparam("now") >= _ENDS, _S.owner != NOBODY)
    .order_by(_S.n)
    .limit(1)
    .with_for_update()
)
_SET_EXPIRED = update(vector_stores).where(_S.n == bindparam("number")).values(expired=1)
_V = store_files.c
_IN_EXPIRED = select(_V.version).where(_V.store == bindparam("store"), _V.files > 0).order_by(_V.version)
# What a process that died, or a full disk, has left of a removal (retrieval/store/base/removal.py).
_NOBODYS = select(_S.n).where(_S.owner == NOBODY).limit(1)
_EMPTIED = select(_V.store).where(_V.files == 0).limit(1)
_EXPIRED_FULL = select(_V.store).where(_V.files > 0, _V.store.in_(select(_S.n).where(_S.expired == 1))).limit(1)
_REST = [_NOBODYS, _EXPIRED_FULL, _EMPTIED]
_NEXT_FILE = select(func.min(files.c.expires_at))
_NEXT_STORE = select(func.min(_ENDS)).where(_S.expired == 0, _S.owner != NOBODY)
_MINE = consumers.c.consumer == bindparam("of_consumer")
_DUE = select(consumers.c.due).where(_MINE)
_SET = update(consumers).where(_MINE).values(due=bindparam("state"))
_END = _SET.where(consumers.c.due == BEGUN)


class Retention(Repository):
    """For the upkeep of one consumer (retrieval/store/changes.py): each scrubs its own files."""

    def __init__(self, database: Database, clock: Callable[[], float], uses: Uses, consumer: str, blobs: Blobs) -> None:
        super().__init__(database, clock, uses)
        self._consumer = consumer
        self._blobs = blobs

    def register(self) -> None:
        """This consumer is told of what is deleted from now on. A new one's first scrub is due at once."""
        row = self._database.insert(consumers).on_conflict_do_nothing()

        def register() -> None:
            with self._database.write() as db:
                db.execute(row, {"consumer": self._consumer, "due": 1})

        self._database.freeing(register)

    def write_uses(self) -> None:
        """Uses since the last call, into the database."""
        if len(self._uses):
            with self._database.write(durable=False) as db:
                noted = self._uses.write(db)
            self._uses.written(noted)

    def expire(self) -> None:
        """Removes files whose time is over, from vector stores too, empties vector stores whose time is over, and goes
        on with what was deleted and is not gone yet.
        """
        if (due := self.next_expiry()) is None or due > self._now:
            return
        while (number := self._database.freeing(self._expired_file)) is not None:
            if not self._finish(remove_file_step, number):
                return
        while self._database.freeing(self._expired_store):
            pass
        self._go_on()

    def _expired_file(self) -> int | None:
        """Its row, when nobody finds it any more."""
        with self._database.write() as db:
            now = self._now
            if (row := db.execute(_EXPIRED_FILE, {"now": now}).first()) is not None:
                lock_uploads(db, row)
                if (still := db.execute(_STILL, {"now": now, "number": row.n}).first()) is not None:
                    let_go(db, still)
        return None if row is None else int(row.n)

    def _expired_store(self) -> bool:
        self.write_uses()  # by itself: it holds many vector stores
        with self._database.write() as db:
            row = db.execute(_EXPIRED_STORE, {"now": self._now}).first()
            if row is not None and self._uses.has_expired(row, self._now):  # not where it was used since
                db.execute(_SET_EXPIRED, {"number": row.n})
        return row is not None

    def _go_on(self) -> None:
        steps: list[Step] = [remove_store_step, _emptying_step, remove_versions_step]
        for wanted, step in zip(_REST, steps, strict=True):
            while (number := self._first(wanted)) is not None:
                if not self._finish(step, number):
                    return

    def _first(self, statement: Select[Any]) -> int | None:
        with self._database.one() as db:
            found: int | None = db.execute(statement).scalar()
            return found

    def next_expiry(self) -> int | None:
        """Unix seconds, at the earliest: uses that are not written yet put it off."""
        with self._database.read() as db:
            ends = [db.execute(statement).scalar() for statement in (_NEXT_FILE, _NEXT_STORE)]
            ends += [0 for rest in _REST if db.execute(rest).first() is not None]
        return min((end for end in ends if end is not None), default=None)

    def sweep_blobs(self) -> None:
        """Removes the bytes that no file has any more."""
        if self._blobs.due():
            self._blobs.sweep()
        self._database.reclaim()

    def leftovers_due(self) -> bool:
        """Whether something was deleted since this consumer's last `scrub`."""
        with self._database.read() as db:
            return bool(db.execute(_DUE, {"of_consumer": self._consumer}).scalar())

    def scrub(self, indexes: Callable[[], None] = lambda: None) -> bool:
        """Rewrites SQLite's database without its free space, and empties the write-ahead log: what was deleted before
        is in neither. Searches go on; writers wait, some seconds a gigabyte. False where a long read was in the way:
        again. PostgreSQL's bytes are its own to reuse (autovacuum, its WAL, backups): nothing is done there.

        indexes: the same for them, done before. What is deleted meanwhile is due again.

        secure_delete alone is not enough: cells that SQLite moved before they were deleted leave copies in the gaps.
        """
        self._set_due(BEGUN)
        indexes()
        with self._database.alone():
            done = not self._database.is_sqlite or self._database.vacuum()
            self._set_due(DONE if done else DUE)
        return done

    def _set_due(self, state: int) -> None:
        statement = _END if state == DONE else _SET
        with self._database.write() as db:
            db.execute(statement, {"of_consumer": self._consumer, "state": state})


def _emptying_step(db: Connection, store: int, most: int) -> bool:
    """Of a vector store that has expired: its files leave it."""
    lock_stores(db, [store])
    versions = db.scalars(_IN_EXPIRED.limit(most), {"store": store}).all()
    leave_versions(db, store, versions)
    return bool(versions)
