"""One database by URL: short transactions over SQLAlchemy Core, bounded connections, the house's own errors.

`sqlite:///FILE` is a file of this process (the lock of its folder sees to that): WAL, readers that wait for nobody, one
writer at a time. `postgresql+psycopg://…` is a server that others may use too. Importing this costs 0.15 s of CPU
(SQLAlchemy), so it is imported where a database is opened.
"""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url

from retrieval.database.translation import translated

WAIT_SECONDS = 30.0
# Of the folder's files: set on every connection, before its first transaction. secure_delete = FAST does not rewrite
# whole free pages (30 kB a passage).
PRAGMAS = ("page_size = 8192", "journal_mode = WAL", "foreign_keys = ON", "secure_delete = FAST")
# A server that vanished is noticed: seconds to connect, seconds of silence, milliseconds that sent bytes go unanswered.
LIBPQ = {"connect_timeout": 5, "keepalives_idle": 30, "tcp_user_timeout": 30_000}
BEGIN, SYNCHRONOUS = "ragpod_begin", "ragpod_synchronous"  # execution options, read by the hook below


def sqlite_url(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


class Database:
    """Thread-safe and blocking: never called on the event loop. Every transaction may raise StoreUnavailable.

    readers, writers: transactions at once; on SQLite one writes, however many are allowed. More than both together
    wait for `wait_seconds`, as a SQLite writer does for one of another process. Connects when first used.
    """

    def __init__(
        self, url: URL | str, *, readers: int = 4, writers: int = 4, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.readers, self.writers = readers, 1 if self.is_sqlite else writers
        self._alone = threading.RLock()
        self._one_writer: AbstractContextManager[Any] = self._alone if self.is_sqlite else nullcontext()
        bounds = {"pool_size": self.readers + self.writers, "max_overflow": 0, "pool_timeout": wait_seconds}
        bounds["pool_use_lifo"] = True  # few callers stay on few connections, whose page caches are warm
        if self.is_sqlite:
            self._engine = _sqlite(self.url, bounds, wait_seconds)
            read: dict[str, Any] = {BEGIN: "BEGIN"}
        else:
            self._engine = _postgresql(self.url, bounds)
            read = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = self._engine.execution_options(**read)
        self._durable = self._engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE", SYNCHRONOUS: "FULL"})
        self._not_durable = self._engine.execution_options(**{BEGIN: "BEGIN IMMEDIATE", SYNCHRONOUS: "NORMAL"})

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Connection]:
        """One transaction, on disk when the block has been left without an error. Raises StoreFull, StoreConflict.

        Not durable: a killed process still loses nothing, a power cut may lose what no durable transaction followed.
        PostgreSQL has no such middle (without its own fsync a killed server loses commits), so there all are durable.
        """
        with translated(), self._one_writer, (self._durable if durable else self._not_durable).begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot, never waiting for a writer."""
        with translated(), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def outside(self) -> Iterator[Connection]:
        """SQLite only: every statement by itself, while nobody of this process writes; for VACUUM and checkpoints."""
        assert self.is_sqlite
        with translated(), self._alone, self._engine.connect() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[None]:
        """SQLite: nobody of this process writes meanwhile, but for the calls inside. PostgreSQL: nothing is held."""
        with self._one_writer:
            yield

    def close(self) -> None:
        """After the last transaction has ended."""
        self._engine.dispose()


def _sqlite(url: URL, bounds: dict[str, Any], wait_seconds: float) -> Engine:
    """The driver begins nothing by itself (isolation_level None): its own BEGIN comes late, and never before DDL."""
    given = {"isolation_level": None, "check_same_thread": False, "timeout": wait_seconds}
    engine = create_engine(url, connect_args=given, **bounds)

    @event.listens_for(engine, "connect")
    def connected(driver: Any, _record: object) -> None:
        for pragma in PRAGMAS:
            driver.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        synchronous = options.get(SYNCHRONOUS)
        if synchronous and connection.info.get(SYNCHRONOUS) != synchronous:  # not possible in a transaction
            connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
            connection.info[SYNCHRONOUS] = synchronous
        if statement := options.get(BEGIN):
            connection.exec_driver_sql(statement)

    return engine


def _postgresql(url: URL, bounds: dict[str, Any]) -> Engine:
    """A connection is tried before it is used (a round trip): those that a restart has ended are made anew."""
    given = {name: value for name, value in LIBPQ.items() if name not in url.query}
    try:
        return create_engine(url, connect_args=given, pool_pre_ping=True, **bounds)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}: PostgreSQL needs `pip install ragpod[postgresql]`") from error
