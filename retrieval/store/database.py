"""The SQLite connection: one writer, a pool of readers, durable commits, a schema brought up to date."""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from retrieval.store.lock import DataDirLock
from retrieval.store.types import (
    Expired,
    NewerDatabase,
    NotFound,
    StoreConflict,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from retrieval.store.uses import Uses
from retrieval.threads import Threads

log = logging.getLogger("ragpod.store")

FILENAME = "ragpod.db"
# The schema's history: PRAGMA user_version counts the scripts that a database has been through.
SCRIPTS = ("schema.sql", "schema_2.sql", "schema_3.sql", "schema_4.sql", "schema_5.sql")

_READS = 8  # threads; a read takes a fraction of a millisecond, a large file's content longer
_WRITES = 4  # threads; one writes, the others compute digests meanwhile


class Database:
    """Owns the data directory (one process at a time) and its database. Thread-safe.

    data_dir: made where it is missing. clock: Unix seconds. reads, writes: the threads that an event loop gives calls
    to: writes wait for each other, and reads for none of them. Raises DataDirLocked, NewerDatabase, StoreUnavailable.

    Every call of the store may raise StoreUnavailable, one that writes StoreFull: nobody else knows what SQLite raises.
    """

    def __init__(self, data_dir: Path, clock: Callable[[], float] = time.time) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir = data_dir
        self.clock = clock
        self.uses = Uses()
        self.reads, self.writes = Threads(_READS, "reads"), Threads(_WRITES, "writes")
        self._lock_file = DataDirLock(data_dir)
        self._write_lock = threading.RLock()
        self._idle_readers: list[sqlite3.Connection] = []
        self._closed = False
        with _translated(), ExitStack() as on_failure:
            on_failure.callback(self._lock_file.close)
            self._writer = on_failure.enter_context(closing(self._connect()))
            _migrate(self._writer)
            on_failure.pop_all()

    @property
    def now(self) -> int:
        return int(self.clock())

    def announce(self, url: str) -> None:
        """Tells other processes where this one listens (see lock.holder_of)."""
        self._lock_file.announce(url)

    def write_uses(self) -> None:
        """Uses since the last call, into the database."""
        if len(self.uses):
            with self.write(durable=False) as db:
                noted = self.uses.write(db)
            self.uses.written(noted)

    def close(self) -> None:
        """What was given to its threads is done before."""
        self.reads.close()
        self.writes.close()
        with self._write_lock:
            with suppress(sqlite3.OperationalError):  # a full disk: what is lost is when a vector store was used
                self.write_uses()
            self._closed = True
            while self._idle_readers:
                self._idle_readers.pop().close()
            self._writer.close()
            self._lock_file.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.data_dir / FILENAME, timeout=30, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = FAST")  # does not rewrite whole free pages: 30 kB a passage
        return connection

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes meanwhile; calls that write may be made inside."""
        with _translated(), self._write_lock:
            yield

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when the block has been left without an error.

        Not durable: a killed process still loses nothing, a power cut may lose what no durable transaction followed.
        """
        with _translated(), self._write_lock:
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk ends it by itself; a commit that failed does not
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One snapshot, never waiting for the writer."""
        with _translated():
            try:
                connection = self._idle_readers.pop()
            except IndexError:
                connection = self._connect()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")
                self._idle_readers.append(connection)
                if self._closed:
                    self._idle_readers.pop().close()


_UNAVAILABLE = (
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),  # another process holds it
    *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM),  # its disk is away
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),  # until someone has put a whole one in its place
    sqlite3.SQLITE_NOMEM,
)


@contextmanager
def _translated() -> Iterator[None]:
    """SQLite's errors as the store's own; those that are a fault of the code that asked stay as they are."""
    try:
        yield
    except sqlite3.Error as error:
        translated = _error_of(error)
        if translated is None:
            raise
        log.warning("%s: %s", type(translated).__name__, error)
        raise translated from error


def _error_of(error: sqlite3.Error) -> StoreError | None:
    code = getattr(error, "sqlite_errorcode", None)  # none where the module itself raised it
    if code is None:
        return None
    primary = code & 0xFF  # extended codes say more in the bits above
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull("no room is left for the database")
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return StoreConflict("it contradicts what is stored already")
    return StoreUnavailable(f"the database cannot be used now: {error}") if primary in _UNAVAILABLE else None


def _migrate(connection: sqlite3.Connection) -> None:
    """Applies what is missing, each script in one transaction. Raises NewerDatabase."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(SCRIPTS):
        raise NewerDatabase(
            f"the database has schema {version}, this ragpod knows schemas up to {len(SCRIPTS)}: use a newer ragpod"
        )
    for number, name in enumerate(SCRIPTS[version:], version + 1):
        script = Path(__file__).with_name(name).read_text("utf-8")
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def store_number(connection: sqlite3.Connection, owner: str, store_id: str) -> int:
    """The row of a vector store. Raises NotFound."""
    row = connection.execute("SELECT n FROM vector_stores WHERE id = ? AND owner = ?", (store_id, owner)).fetchone()
    if row is None:
        raise NotFound(f"no vector store {store_id!r}")
    number: int = row["n"]
    return number


def live_store(connection: sqlite3.Connection, owner: str, store_id: str, uses: Uses, now: int) -> sqlite3.Row:
    """Of a vector store that is to be used. Raises NotFound, Expired."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM vector_stores WHERE id = ? AND owner = ?", (store_id, owner)
    ).fetchone()
    if row is None:
        raise NotFound(f"no vector store {store_id!r}")
    if uses.has_expired(row, now):
        raise Expired(f"vector store {store_id!r} has expired")
    return row


def to_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Non-ASCII characters stay as they are: SQLite's JSON paths compare the text of keys."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
