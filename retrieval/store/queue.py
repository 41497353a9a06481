"""The ingest queue: versions in progress, each leased to one worker at a time."""

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Text, bindparam, func, null, or_, select, text, update

from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import PUBLIC_ID
from retrieval.store.base.tables import files, store_files, vector_stores
from retrieval.store.base.values import Attempt, IngestJob
from retrieval.types import Chunking

log = logging.getLogger("ragpod.store")

_V = store_files.c
_UNFINISHED = _V.status == "in_progress"
_FREE = or_(_V.lease_until.is_(None), _V.lease_until <= bindparam("now"))
_S = vector_stores.c
# Of a vector store whose embedder the caller has, and, unless that is wanted too, no generation beside one.
_CLAIMABLE = _V.store.in_(
    select(_S.n).where(
        or_(bindparam("every") == 1, _S.embedder.is_(None), _S.embedder.in_(bindparam("names", expanding=True))),
        or_(bindparam("beside") == 1, _S.generation_of.is_(None)),
    )
)
_ANY = select(_V.version, _V.leased_by).where(_UNFINISHED, _FREE, _CLAIMABLE).limit(1)
_ANY_OTHER = _ANY.with_for_update(skip_locked=True, of=store_files)
_IN_TURN = _ANY_OTHER.where(_V.owner == bindparam("owner"), _V.store == bindparam("store")).order_by(_V.version)
_TAKE = (
    update(store_files)
    .where(_V.version == bindparam("of_version"))
    .values(
        attempt=_V.attempt + 1,
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
_OF_WORKER = select(_V.version).where(_V.leased_by == bindparam("worker"), _UNFINISHED)
_RELEASE_IT = (
    update(store_files)
    .where(_V.version == bindparam("of_version"), _V.leased_by == bindparam("worker"), _UNFINISHED)
    .values(leased_by=null(), lease_until=null())
)
_COUNT = select(func.count()).select_from(store_files).where(_UNFINISHED)
_EARLIEST = select(func.min(func.coalesce(_V.lease_until, 0.0))).where(_UNFINISHED, _CLAIMABLE)


# Whose turn it is. The vector stores that have unfinished versions, owner by owner, are stepped through in the index of
# these: a seek for each, however many files it has waiting.
_FREE_OF = "w.status = 'in_progress' AND (w.lease_until IS NULL OR w.lease_until <= :now)"
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
WHERE (:every = 1 OR v.embedder IS NULL OR v.embedder IN :names) AND (:beside = 1 OR v.generation_of IS NULL)
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
        whoever has one file waits for one file of each other owner, however many they have. It looks before it writes:
        who has nothing to do waits for no writer. embedders: that the caller has; None: whatever it takes. beside:
        generations beside those that are found too, each a vector store of its owner.
        """
        wanted = _wanted(embedders, beside)
        with self._database.one() as db:
            if db.execute(_ANY, {**wanted, "now": self._clock()}).first() is None:
                return None
        with self._database.write(durable=False) as db:
            now = self._clock()
            if (free := _free(db, {**wanted, "now": now})) is None:
                return None
            db.execute(_TAKE, {"of_version": free.version, "worker": worker, "now": now, "until": now + seconds})
            job = _job_of(db.execute(_JOB, {"version": free.version}).one())
        if free.leased_by is not None:
            log.warning("%s: taken over by %s, nothing was heard of %s", job.attempt, worker, free.leased_by)
        return job

    def renew(self, worker: str, attempts: Collection[Attempt], seconds: float) -> None:
        """For that long from now; those that are still this worker's."""
        until = self._clock() + seconds
        for version, number in attempts:  # each by itself: it waits for nobody while another one waits for it
            with self._database.write(durable=False) as db:
                row = {"of_version": version, "of_attempt": number, "worker": worker, "until": until}
                db.execute(_RENEW, row)

    def release(self, attempt: Attempt, pause: float = 0.0) -> None:
        """Given back: anybody may claim it after `pause` seconds. Nothing where a later attempt has begun."""
        until = self._clock() + pause if pause else None
        with self._database.write(durable=False) as db:
            db.execute(_RELEASE, {"of_version": attempt.version, "of_attempt": attempt.number, "until": until})

    def release_all(self, worker: str) -> None:
        """Of one that is known to be dead: the data folder that it is named by has another owner now."""
        with self._database.one() as db:
            versions = db.scalars(_OF_WORKER, {"worker": worker}).all()
        for version in versions:
            self._database.freeing(partial(self._release_it, version, worker))

    def _release_it(self, version: int, worker: str) -> None:
        with self._database.write(durable=False) as db:
            db.execute(_RELEASE_IT, {"of_version": version, "worker": worker})

    def unfinished(self) -> int:
        """Versions in progress, whoever holds them."""
        with self._database.one() as db:
            return db.execute(_COUNT).scalar_one()

    def next_due(self, *, embedders: Sequence[str] | None = None, beside: bool = True) -> float | None:
        """Unix seconds from which on one may be claimed, 0 where that is at once; None: nothing is in progress. Of
        those that `claim` would take.
        """
        with self._database.one() as db:
            found: float | None = db.execute(_EARLIEST, _wanted(embedders, beside)).scalar()
            return found


def _wanted(embedders: Sequence[str] | None, beside: bool) -> dict[str, Any]:
    return {"every": int(embedders is None), "names": list(embedders or ()), "beside": int(beside)}


def _free(db: Connection, wanted: Mapping[str, Any]) -> Row[Any] | None:
    """Of whose turn it is; where others are just claiming that (PostgreSQL), any other."""
    if (turn := db.execute(_TURN, wanted).first()) is None:
        return None
    of_turn = {**wanted, "owner": turn.owner, "store": turn.store}
    chosen: Any = db.execute(_IN_TURN, of_turn).first() or db.execute(_ANY_OTHER, wanted).first()
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
        index_id=row.index_id,
        embedder=row.embedder,
    )
