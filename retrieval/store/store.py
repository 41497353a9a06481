"""The source of truth: vector stores, files, passages and their vectors, in SQLite or PostgreSQL.

Every call takes the owner, and another owner's id is NotFound. What a call has returned from is on disk: kill -9 at any
instant loses nothing of it. Indexes are derived from here by the change log (retrieval/store/changes.py).

Importing this loads no database: `Store.open` does.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from retrieval.database.errors import StoreError
from retrieval.database.lock import DataDirLock
from retrieval.database.reserve import Reserve
from retrieval.threads import Threads
from retrieval.types import Cutting

if TYPE_CHECKING:
    from retrieval.blobs.base import BlobStore
    from retrieval.database.engine import Database
    from retrieval.store.attachments import Attachments
    from retrieval.store.batches import Batches
    from retrieval.store.blobs import Blobs
    from retrieval.store.changes import Changes
    from retrieval.store.files import Files
    from retrieval.store.generations.generations import Generations
    from retrieval.store.outbox.deliveries import Deliveries
    from retrieval.store.outbox.endpoints import Endpoints
    from retrieval.store.passages import Passages
    from retrieval.store.publishing import Publishing
    from retrieval.store.queue import Queue
    from retrieval.store.retention import Retention
    from retrieval.store.vector_stores import VectorStores
    from retrieval.store.versions import Versions

FILENAME = "ragpod.db"
TABLE = "table"  # where blobs are kept: in the database itself

_READS = 8  # threads; a read takes a fraction of a millisecond, a large file's content longer
_WRITES = 4  # threads; one writes, the others compute digests meanwhile
# Transactions at once, of all threads that may have one: these, ingest's, the openings of indexes, the upkeep's.
_READERS, _WRITERS = 24, 8


@dataclass(frozen=True, slots=True)
class Store:
    """Small repositories over one database, each for those who need it alone.

    reads, writes: the threads that an event loop gives calls to; on SQLite writes wait for each other, reads for none
    of them. consumer: the name of this data folder among those that follow the database.
    """

    data_dir: Path
    consumer: str
    clock: Callable[[], float]
    database: "Database"
    reads: Threads
    writes: Threads
    lock: DataDirLock
    vector_stores: "VectorStores"
    files: "Files"
    attachments: "Attachments"
    batches: "Batches"
    versions: "Versions"
    publishing: "Publishing"
    passages: "Passages"
    changes: "Changes"
    queue: "Queue"
    retention: "Retention"
    generations: "Generations"
    blobs: "Blobs"
    webhooks: "Endpoints"
    deliveries: "Deliveries"

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        url: str | None = None,
        blobs: str | None = None,
        reserve_bytes: int = 0,
        cutting: Cutting = Cutting(),
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Owns the data directory (one process at a time), and brings its database up to date. Blocking.

        data_dir: made where it is missing. url: of the database; None is SQLite's file in the folder. blobs: where
        originals are kept (retrieval/blobs/opening.py), or TABLE; None is a folder of the data directory, and the
        database's table where that is a server, which other machines may use too. reserve_bytes: of the folder's disk,
        kept for deleting and starting when it is full; not where the database is a server. cutting: of new vector
        stores. clock: Unix seconds.

        Raises DataDirLocked, NewerDatabase, StoreUnavailable, StoreFull, ValueError (a URL of no known kind).
        """
        data_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as on_failure:
            lock = DataDirLock(data_dir)
            on_failure.callback(lock.close)
            database = _database(data_dir, url, reserve_bytes)
            on_failure.callback(database.close)
            kept_in = _blob_store(data_dir, database, blobs)
            on_failure.callback(kept_in.close)
            store = cls._over(database, kept_in, data_dir, lock, clock, cutting)
            store.retention.register()
            store.blobs.move_out_of_table()
            on_failure.pop_all()
        return store

    @classmethod
    def _over(
        cls,
        database: "Database",
        kept_in: "BlobStore",
        data_dir: Path,
        lock: DataDirLock,
        clock: Callable[[], float],
        cutting: Cutting,
    ) -> Self:
        from retrieval.store.attachments import Attachments
        from retrieval.store.base.uses import Uses
        from retrieval.store.batches import Batches
        from retrieval.store.blobs import Blobs
        from retrieval.store.changes import Changes
        from retrieval.store.files import Files
        from retrieval.store.generations.generations import Generations
        from retrieval.store.outbox.deliveries import Deliveries
        from retrieval.store.outbox.endpoints import Endpoints
        from retrieval.store.passages import Passages
        from retrieval.store.publishing import Publishing
        from retrieval.store.queue import Queue
        from retrieval.store.retention import Retention
        from retrieval.store.vector_stores import VectorStores
        from retrieval.store.versions import Versions

        consumer, uses = _consumer(data_dir), Uses()
        kept = Blobs(database, kept_in, data_dir / "uploads")
        return cls(
            data_dir=data_dir,
            consumer=consumer,
            clock=clock,
            database=database,
            reads=Threads(_READS, "reads"),
            writes=Threads(_WRITES, "writes"),
            lock=lock,
            vector_stores=VectorStores(database, clock, uses, cutting),
            files=Files(database, clock, uses, kept),
            attachments=Attachments(database, clock, uses),
            batches=Batches(database, clock, uses),
            versions=Versions(database, clock, uses),
            publishing=Publishing(database, clock, uses),
            passages=Passages(database, clock, uses),
            changes=Changes(database, clock, uses, consumer),
            queue=Queue(database, clock, uses),
            retention=Retention(database, clock, uses, consumer, kept),
            generations=Generations(database, clock, uses),
            blobs=kept,
            webhooks=Endpoints(database, clock, uses),
            deliveries=Deliveries(database, clock, uses),
        )

    def announce(self, url: str) -> None:
        """Tells other processes where this one listens (retrieval/database/lock.py)."""
        self.lock.announce(url)

    def close(self) -> None:
        """What was given to its threads is done before."""
        self.reads.close()
        self.writes.close()
        with suppress(StoreError):  # what is lost is when a vector store was used
            self.retention.write_uses()
        self.blobs.close()
        self.database.close()
        self.lock.close()


def _database(data_dir: Path, url: str | None, reserve_bytes: int) -> "Database":
    from retrieval.database.engine import Database, sqlite_url
    from retrieval.database.migration import upgrade
    from retrieval.store.migrations import MIGRATIONS
    from retrieval.store.outbox.tables import METADATA

    place = sqlite_url(data_dir / FILENAME) if url is None else url
    reserve = Reserve(data_dir / "reserve", reserve_bytes) if url is None and reserve_bytes else None
    database = Database(place, readers=_READERS, writers=_WRITERS, reserve=reserve)
    try:
        database.freeing(partial(upgrade, database, MIGRATIONS, METADATA))
        if reserve is not None:
            reserve.take()
    except BaseException:
        database.close()
        raise
    return database


def _blob_store(data_dir: Path, database: "Database", place: str | None) -> "BlobStore":
    from retrieval.blobs.opening import blobs_of
    from retrieval.store.blobs import TableBlobs

    chosen = place or ("folder" if database.is_sqlite else TABLE)
    return TableBlobs(database) if chosen == TABLE else blobs_of(chosen, data_dir)


def _consumer(data_dir: Path) -> str:
    """Of the folder, for as long as it is there."""
    path = data_dir / "consumer"
    if not path.exists() or not path.stat().st_size:  # a power cut may leave it empty
        new = data_dir / "consumer.new"
        new.write_text(secrets.token_hex(8))
        new.replace(path)
    return path.read_text()
