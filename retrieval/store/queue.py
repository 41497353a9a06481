"""The ingest queue: versions in progress, each leased to one worker at a time."""

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    Select,
    Text,
    Update,
    and_,
    bindparam,
    func,
    null,
    or_,
    select,
    text,
    update,
)

from retrieval.database.constructs import any_of
from retrieval.store.base.removal import NOBODY
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import PUBLIC_ID
from retrieval.store.base.tables import files, store_files, vector_stores
from retrieval.store.base.values import Attempt, IngestJob, Tried
from retrieval.types import Chunking

log = logging.getLogger("ragpod.store")

_V = store_files.c
_UNFINISHED = _V.status == "in_progress"
# Where a process has died at one, and a worker has such a one already, it may have no other.
_ALLOWED = or_(_V.deaths == 0, _V.visible == 1, bindparam("alone", type_=Integer) == 0)
_FREE = and_(or_(_V.lease_until.is_(None), _V.lease_until <= bindparam("now")), _ALLOWED)
_SUSPECT_HELD = (
    select(_V.version)
    .where(_UNFINISHED, _V.leased_by == bindparam("worker"), _V.lease_until > bindparam("now"))
    .where(_V.deaths > 0, _V.visible == 0)
    .limit(1)
)
_S = vector_stores.c
# Of a vector store whose embedder the caller has, and, unless that is wanted too, no generation beside one.
_CLAIMABLE = _V.store.in_(
    select(_S.n).where(
        or_(bindparam("every") == 1, _S.embedder.is_(None), _S.embedder.in_(bindparam("names", expanding=True))),
        or_(bindparam("beside") == 1, _S.generation_of.is_(None)),
        _S.owner != NOBODY,
    )
)
_ANY = select(_V.version, _V.leased_by, _V.deaths, _V.visible).where(_UNFINISHED, _FREE, _CLAIMABLE).limit(1)
_ANY_OTHER = _ANY.with_for_update(skip_locked=True, of=store_files)
_IN_TURN = _ANY_OTHER.where(_V.owner == bindparam("owner"), _V.store == bindparam("store")).order_by(_V.version)
_TAKE = (
    update(store_files)
    .where(_V.version == bindparam("of_version"))
    .values(
        attempt=_V.attempt + 1,
        deaths=_V.deaths + bindparam("died"),
        leased_by=bindparam("worker"),
        lease_until=bindparam("until"),
        claimed_at=bindparam("now"),
    )
)
_JOB = (
    select(store_files, files.c.id.label("file_id"), files.c.media_type)
    .add_columns(_S.owner, _S.index_id, _S.embedder, PUBLIC_ID.label("store_id"))
    .join(files, files.c.n == _V.file)
    .join(vector_stores, vector_stores.c.n == _V.store)
    .where(_V.version == bindparam("version"))
)
_HELD = (_V.version == bindparam("of_version"), _V.attempt == bindparam("of_attempt"), _UNFINISHED)
_RENEW = update(store_files).where(*_HELD, _V.leased_by == bindparam("worker")).values(lease_until=bindparam("until"))
_RELEASE = update(store_files).where(*_HELD).values(leased_by=null(), lease_until=bindparam("until"))
_RELEASE_TRIED = _RELEASE.values({name: bindparam(f"of_{name}") for name in Tried._fields if name != "deaths"})
_OF_WORKER = select(_V.version).where(_V.leased_by == bindparam("worker"), _UNFINISHED)
_RELEASE_IT = (
    update(store_files)
    .where(_V.version == bindparam("of_version"), _V.leased_by == bindparam("worker"), _UNFINISHED)
    .values(leased_by=null(), lease_until=null())
)
_DIED = _RELEASE_IT.values(deaths=_V.deaths + 1)
_ILL_FAMED = (_UNFINISHED, _V.leased_by.is_(None), _V.deaths > 1, _V.visible == 0)
_RESTING = select(_V.version).where(*_ILL_FAMED)
_REST = (
    update(store_files).where(_V.version == bindparam("of_version"), *_ILL_FAMED).values(lease_until=bindparam("until"))
)
_COUNT = select(func.count()).select_from(store_files).where(_UNFINISHED)
_OF_THESE = select(_V.version).where(any_of(_V.version, "versions"), _UNFINISHED)
_EARLIEST = select(func.min(func.coalesce(_V.lease_until, 0.0))).where(_UNFINISHED, _CLAIMABLE, _ALLOWED)


# Whose turn it is. The vector stores that have unfinished versions, owner by owner, are stepped through in the index of
# these: a seek for each, however many files it has waiting.
_FREE_OF = (
    "w.status = 'in_progress' AND (w.lease_until IS NULL OR w.lease_until <= :now)"
    " AND (w.deaths = 0 OR w.visible = 1 OR :alone = 0)"
)
_TURN = text(f"""
WITH RECURSIVE
stores(owner, store) AS (
    SELECT * FROM (SELECT w.owner, w.store FROM store_files w WHERE w.status = 'in_progress'
                   ORDER BY w.owner, w.store LIMIT 1) first
    UNION ALL
    SELECT (SELECT w.owner FROM store_files w WHERE w.status = 'in_progress' AND (w.owner, w.store) > (s.owner, s.store)
            ORDER BY w.owner, w.store LIMIT 1),
           (SELECT w.store FROM store_files w WHERE w.status = 'in_progress' AND (w.owner, w.store) > (s.owner, s.store)
            ORDER BY w.owner, w.store LIMIT 1)
    FROM stores s WHERE s.owner IS NOT NULL
)
SELECT s.owner, s.store FROM stores s JOIN vector_stores v ON v.n = s.store
WHERE v.owner <> '{NOBODY}' AND (:every = 1 OR v.embedder IS NULL OR v.embedder IN :names)
AND (:beside = 1 OR v.generation_of IS NULL)
AND EXISTS (SELECT 1 FROM store_files w WHERE w.owner = s.owner AND w.store = s.store AND {_FREE_OF})
ORDER BY coalesce((SELECT max(t.claimed_at) FROM store_files t
                   WHERE t.owner = s.owner AND t.claimed_at IS NOT NULL), 0), s.owner,
         coalesce((SELECT max(t.claimed_at) FROM store_files t
                   WHERE t.store = s.store AND t.claimed_at IS NOT NULL), 0), s.store
LIMIT 1""").bindparams(bindparam("names", type_=Text, expanding=True))  # noqa: S608


class Queue(Repository):
    """A worker that dies keeps its version until its lease is over, and no longer.

    Leases go by the clock of the machine. Nothing else does: a version that is taken over too early has a new attempt,
    and whoever was at the old one has nothing more to write, so the worst is work done twice.
    """

    def claim(
        self, worker: str, seconds: float, *, embedders: Sequence[str] | None = None, beside: bool = True
    ) -> IngestJob | None:
        """Begins an attempt at a version that nobody holds; leased for that long. None: nothing to do now.

        Owners take turns, an owner's vector stores take turns among themselves, and in one the oldest comes first:
        whoever has one file waits for one file of each other owner, however many they have. Of those at which a process
        has died a worker has one at a time. It looks before it writes: who has nothing to do waits for no writer.
        embedders: that the caller has; None: whatever it takes. beside: generations beside those that are found too,
        each a vector store of its owner.
        """
        wanted = _wanted(embedders, beside)
        with self._database.one() as db:
            if db.execute(_ANY, {**wanted, "now": self._clock(), "alone": 0}).first() is None:
                return None
        with self._database.write(durable=False) as db:
            now = self._clock()
            if (free := self._free(db, worker, {**wanted, "now": now})) is None:
                return None
            died = int(free.leased_by not in (None, worker))  # its own lease may have run out while it could not renew
            taken = {"of_version": free.version, "worker": worker, "now": now, "until": now + seconds, "died": died}
            db.execute(_TAKE, taken)
            job = _job_of(db.execute(_JOB, {"version": free.version}).one())
        if free.leased_by is not None:
            log.warning("%s: taken over by %s, nothing was heard of %s", job.attempt, worker, free.leased_by)
        return job

    def _free(self, db: Connection, worker: str, wanted: Mapping[str, Any]) -> Row[Any] | None:
        free = _free(db, wanted, int(_holds_suspect(db, worker, self._clock())))
        if free is not None and free.deaths and not free.visible:  # the worker's other claims may be at one just now
            self._database.exclude(db, f"suspects of {worker}")
            if _holds_suspect(db, worker, self._clock()):
                return _free(db, wanted, 1)
        return free

    def renew(self, worker: str, attempts: Collection[Attempt], seconds: float) -> None:
        """For that long from now; those that are still this worker's."""
        until = self._clock() + seconds
        for version, number in attempts:  # each by itself: it waits for nobody while another one waits for it
            with self._database.write(durable=False) as db:
                row = {"of_version": version, "of_attempt": number, "worker": worker, "until": until}
                db.execute(_RENEW, row)

    def release(self, attempt: Attempt, pause: float = 0.0, tried: Tried | None = None) -> None:
        """Given back: anybody may claim it after `pause` seconds. Nothing where a later attempt has begun."""
        until = self._clock() + pause if pause else None
        row = {"of_version": attempt.version, "of_attempt": attempt.number, "until": until}
        with self._database.write(durable=False) as db:
            if tried is None:
                db.execute(_RELEASE, row)
            else:
                counts = {f"of_{name}": value for name, value in tried._asdict().items() if name != "deaths"}
                db.execute(_RELEASE_TRIED, row | counts)

    def release_all(self, worker: str, died: float | None = None) -> None:
        """Of one that has ended, or is known to have died at what it had: the data folder that it is named by has
        another owner now. died: then; whatever more than one has died at rests for so many seconds.
        """
        for version in self._versions(_OF_WORKER, worker):
            given = _RELEASE_IT if died is None else _DIED
            self._database.freeing(partial(self._set, given, of_version=version, worker=worker))
        if died is not None:
            for version in self._versions(_RESTING, worker):
                self._set(_REST, of_version=version, until=self._clock() + died)

    def _versions(self, statement: Select[Any], worker: str) -> Sequence[int]:
        with self._database.one() as db:
            return db.scalars(statement, {"worker": worker}).all()

    def _set(self, statement: Update, **row: str | float) -> None:
        """One version at a time (retrieval/store/base/guards.py)."""
        with self._database.write(durable=False) as db:
            db.execute(statement, row)

    def unfinished(self) -> int:
        """Versions in progress, whoever holds them."""
        with self._database.one() as db:
            return db.execute(_COUNT).scalar_one()

    def in_progress(self, versions: Collection[int]) -> set[int]:
        """Those of them that are."""
        with self._database.one() as db:
            return set(db.scalars(_OF_THESE, {"versions": list(versions)}))

    def next_due(
        self, worker: str = "", *, embedders: Sequence[str] | None = None, beside: bool = True
    ) -> float | None:
        """Unix seconds from which on this worker may claim one, 0 where that is at once; None: nothing is in progress,
        or what is must wait for another that it has. Of those that `claim` would take.
        """
        with self._database.read() as db:
            alone = int(_holds_suspect(db, worker, self._clock()))
            found: float | None = db.execute(_EARLIEST, {**_wanted(embedders, beside), "alone": alone}).scalar()
            return found


def _holds_suspect(db: Connection, worker: str, now: float) -> bool:
    """One that is not published, and at which a process has died."""
    return db.execute(_SUSPECT_HELD, {"worker": worker, "now": now}).first() is not None


def _wanted(embedders: Sequence[str] | None, beside: bool) -> dict[str, Any]:
    return {"every": int(embedders is None), "names": list(embedders or ()), "beside": int(beside)}


def _free(db: Connection, wanted: Mapping[str, Any], alone: int) -> Row[Any] | None:
    """Of whose turn it is; where others are just claiming that (PostgreSQL), any other."""
    free = {**wanted, "alone": alone}
    if (turn := db.execute(_TURN, free).first()) is None:
        return None
    of_turn = {**free, "owner": turn.owner, "store": turn.store}
    chosen: Any = db.execute(_IN_TURN, of_turn).first() or db.execute(_ANY_OTHER, free).first()
    found: Row[Any] | None = chosen
    return found


def _job_of(row: Row[Any]) -> IngestJob:
    return IngestJob(
        attempt=Attempt(row.version, row.attempt),
        owner=row.owner,
        store_id=row.store_id,
        file_id=row.file_id,
        filename=row.filename,
        media_type=row.media_type,
        stage=row.stage,
        visible=bool(row.visible),
        chunking=Chunking(row.chunk_size, row.chunk_overlap),
        tried=Tried(*(getattr(row, name) for name in Tried._fields)),
        claimed_at=row.claimed_at,
        index_id=row.index_id,
        embedder=row.embedder,
    )
