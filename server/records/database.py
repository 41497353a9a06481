"""The server's own records (turns, responses): transactions away from the event loop, on a bounded number of threads.

In the server they are always the data folder's SQLite file. PostgreSQL is proven by the tests only, until the whole
store goes by a URL of the settings.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

    from retrieval.database.engine import Database

T = TypeVar("T")
FILENAME = "turns.db"


class RecordsDatabase:
    """One that writes and several that read on SQLite, so no write waits for another one's lock; more on PostgreSQL."""

    def __init__(self, database: "Database") -> None:
        self._database = database
        self._writers = ThreadPoolExecutor(database.writers, "records-write")
        self._readers = ThreadPoolExecutor(database.readers, "records-read")

    @classmethod
    async def open(cls, data_dir: Path) -> Self:
        """The folder's lock is held by the caller. Raises NewerDatabase, StoreUnavailable, StoreFull."""
        return await cls.at(data_dir / FILENAME)

    @classmethod
    async def at(cls, place: "Path | URL | str") -> Self:
        """place: SQLite's file, or a URL. Raises NewerDatabase, StoreUnavailable, StoreFull."""
        return cls(await asyncio.to_thread(_opened, place))

    async def run(self, call: "Callable[[Connection], T]") -> T:
        """One transaction: committed, or rolled back where `call` raises. What it returns is read from no cursor.

        Raises StoreUnavailable, StoreFull, StoreConflict.
        """

        def transaction() -> T:
            with self._database.write(durable=False) as connection:
                return call(connection)

        return await asyncio.get_running_loop().run_in_executor(self._writers, transaction)

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
        seconds a gigabyte. False where somebody reads all the time: again later. See retrieval/store/leftovers.py.

        PostgreSQL's bytes are its own to reuse (autovacuum, its WAL, backups): nothing is done there.
        """
        from server.records.deleting import scrub

        return await asyncio.get_running_loop().run_in_executor(self._writers, scrub, self._database)

    async def close(self) -> None:
        """What was begun is ended first."""

        def close() -> None:
            self._writers.shutdown()
            self._readers.shutdown()
            self._database.close()

        await asyncio.to_thread(close)


def _opened(place: "Path | URL | str") -> "Database":
    """Imported here: SQLAlchemy costs 0.15 s."""
    from retrieval.database.engine import Database, sqlite_url
    from retrieval.database.migration import upgrade
    from server.records.migrations import MIGRATIONS

    database = Database(sqlite_url(place) if isinstance(place, Path) else place)
    try:
        upgrade(database, MIGRATIONS)
    except BaseException:
        database.close()
        raise
    return database
