"""The server's own records (turns, responses): transactions away from the event loop, on a bounded number of threads.

On SQLite they are a file of their own: an answer that is kept waits for no ingest, and each file is scrubbed by itself.
On PostgreSQL they are tables beside the store's, reached by its connections.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

    from retrieval.database.engine import Database
    from retrieval.database.reserve import Reserve

T = TypeVar("T")
FILENAME = "turns.db"
_THREADS = 4  # of each kind


class RecordsDatabase:
    """One that writes and several that read on SQLite, so no write waits for another one's lock; more on PostgreSQL."""

    def __init__(self, database: "Database", *, shared: bool = False) -> None:
        """shared: it is somebody else's, who closes it."""
        self._database, self._shared = database, shared
        self._writers = ThreadPoolExecutor(min(_THREADS, database.writers), "records-write")
        self._readers = ThreadPoolExecutor(min(_THREADS, database.readers), "records-read")

    @classmethod
    async def open(cls, data_dir: Path, reserve: "Reserve | None" = None) -> Self:
        """The folder's lock is held by the caller. reserve: of its disk. Raises NewerDatabase, StoreUnavailable,
        StoreFull.
        """
        return cls(await asyncio.to_thread(_opened, data_dir / FILENAME, reserve))

    @classmethod
    async def beside(cls, database: "Database") -> Self:
        """In a database that is open already. Raises NewerDatabase, StoreUnavailable, StoreFull."""
        await asyncio.to_thread(_upgraded, database)
        return cls(database, shared=True)

    @classmethod
    async def at(cls, place: "Path | URL | str") -> Self:
        """place: SQLite's file, or a URL. Raises NewerDatabase, StoreUnavailable, StoreFull."""
        return cls(await asyncio.to_thread(_opened, place))

    async def run(self, call: "Callable[[Connection], T]", *, grows: bool = True) -> T:
        """One transaction: committed, or rolled back where `call` raises. What it returns is read from no cursor.

        grows: False is of what makes room, and is done on a full disk too. Raises StoreUnavailable, StoreFull,
        StoreConflict.
        """

        def transaction() -> T:
            with self._database.write(durable=False, grows=grows) as connection:
                return call(connection)

        def work() -> T:
            return transaction() if grows else self._database.freeing(transaction)

        return await asyncio.get_running_loop().run_in_executor(self._writers, work)

    async def read(self, call: "Callable[[Connection], T]") -> T:
        """One snapshot. Raises StoreUnavailable."""

        def transaction() -> T:
            with self._database.read() as connection:
                return call(connection)

        return await asyncio.get_running_loop().run_in_executor(self._readers, transaction)

    async def leftovers_due(self) -> bool:
        """Whether something was deleted since the last `scrub`."""
        from server.records.deleting import leftovers_due

        return await self.read(leftovers_due)

    async def scrub(self) -> bool:
        """What was deleted before is in neither the database nor its write-ahead log afterwards; writers wait, some
        seconds a gigabyte. False where somebody reads all the time: again later. See retrieval/store/retention.py.

        PostgreSQL's bytes are its own to reuse (autovacuum, its WAL, backups): nothing is done there.
        """
        from server.records.deleting import scrub

        return await asyncio.get_running_loop().run_in_executor(self._writers, scrub, self._database)

    async def close(self) -> None:
        """What was begun is ended first."""

        def close() -> None:
            self._writers.shutdown()
            self._readers.shutdown()
            if not self._shared:
                self._database.close()

        await asyncio.to_thread(close)


def _opened(place: "Path | URL | str", reserve: "Reserve | None" = None) -> "Database":
    """Imported here: SQLAlchemy costs 0.15 s."""
    from retrieval.database.engine import Database, sqlite_url

    database = Database(sqlite_url(place) if isinstance(place, Path) else place, reserve=reserve)
    try:
        return _upgraded(database)
    except BaseException:
        database.close()
        raise


def _upgraded(database: "Database") -> "Database":
    from retrieval.database.migration import upgrade
    from server.records.migrations import MIGRATIONS

    database.freeing(partial(upgrade, database, MIGRATIONS))
    return database
