"""The server's own SQLite file (turns, responses): one connection on one thread, so no lock and no wait on the loop."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

T = TypeVar("T")
FILENAME = "turns.db"
# One script a version, never changed once released.
MIGRATIONS = (
    """
    CREATE TABLE turns (
        trace_id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        session_id TEXT NOT NULL,
        created REAL NOT NULL,
        turn BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX turns_of_session ON turns (owner, session_id, created);
    CREATE TABLE file_batches (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        store_id TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        file_ids TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE responses (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        created_at REAL NOT NULL,
        previous_id TEXT,
        input BLOB NOT NULL,
        response BLOB NOT NULL
    ) STRICT;
    """,
    "DROP TABLE file_batches;",  # they are in the store now, where their files are
    # A response knows its turn. due: something was deleted since the last scrub; nobody scrubbed before this version.
    """
    ALTER TABLE responses ADD COLUMN trace_id TEXT;
    UPDATE responses SET trace_id = json_extract(CAST(response AS TEXT), '$.ragpod.trace_id')
        WHERE json_valid(CAST(response AS TEXT));
    CREATE INDEX responses_of_turn ON responses (trace_id);
    CREATE TABLE leftovers (due INTEGER NOT NULL) STRICT;
    INSERT INTO leftovers VALUES (1);
    """,
)


class RecordsDatabase:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "turns")
        self._connection: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, data_dir: Path) -> Self:
        """Raises RuntimeError where a newer ragpod wrote the file."""
        database = cls(data_dir / FILENAME)
        try:
            await database._in_thread(database._connect)
        except BaseException:
            await database.close()
            raise
        return database

    async def run(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """One transaction: committed, or rolled back where `call` raises."""

        def transaction() -> T:
            assert self._connection is not None
            with self._connection:
                return call(self._connection)

        return await self._in_thread(transaction)

    async def leftovers_due(self) -> bool:
        """Whether something was deleted since the last `scrub`."""
        return await self.run(lambda db: bool(db.execute("SELECT due FROM leftovers").fetchone()[0]))

    async def scrub(self) -> bool:
        """What was deleted before is in neither the database nor its write-ahead log afterwards; all else waits, some
        seconds a gigabyte. False where another process reads: again later. See retrieval/store/leftovers.py.
        """
        return await self._in_thread(self._scrub)

    async def close(self) -> None:
        if self._connection is not None:
            await self._in_thread(self._connection.close)
        self._thread.shutdown()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _scrub(self) -> bool:
        assert self._connection is not None
        self._connection.execute("VACUUM")
        (busy, *_) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if not busy:
            with self._connection:
                self._connection.execute("UPDATE leftovers SET due = 0")
        return not busy

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self._path)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise RuntimeError(f"{self._path} was written by a newer ragpod (version {version})")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
