"""One database by URL: short transactions over SQLAlchemy Core, bounded connections, the house's own errors.

`sqlite:///FILE` is a file of this process (the lock of its folder sees to that): WAL, readers that wait for nobody, one
writer at a time. `postgresql+psycopg://…` is a server that others may use too. Importing this costs 0.15 s of CPU
(SQLAlchemy), so it is imported where a database is opened.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, inspect, make_url, select
from sqlalchemy.dialects import postgresql, sqlite

from models.packages import NotInstalled, command
from retrieval.database.errors import StoreConflict, StoreError, StoreFull
from retrieval.database.reserve import Reserve
from retrieval.database.translation import translated

T = TypeVar("T")
WAIT_SECONDS = 30.0
_ROWS = 500  # of a step of what makes room: 10 to 30 kB each in the write-ahead log
_READERS_MS = 500  # that are waited for, to empty the write-ahead log of a full disk
# Of the folder's files: set on every connection, before its first transaction. secure_delete = FAST does not rewrite
# whole free pages (30 kB a passage).
PRAGMAS = ("page_size = 8192", "journal_mode = WAL", "foreign_keys = ON", "secure_delete = FAST")
# A server that vanished is noticed: seconds to connect, seconds of silence, milliseconds that sent bytes go unanswered.
LIBPQ = {"connect_timeout": 5, "keepalives_idle": 30, "tcp_user_timeout": 30_000}
# Execution options, read by the hooks below; BINARY is a statement's: PostgreSQL sends large bytes as they are, not as
# hexadecimal digits.
BEGIN, SYNCHRONOUS, UNCHECKED, BINARY = "ragpod_begin", "ragpod_synchronous", "ragpod_unchecked", "ragpod_binary"


def sqlite_url(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


class Database:
    """Thread-safe and blocking: never called on the event loop. Every transaction may raise StoreUnavailable.

    readers, writers: transactions at once; on SQLite one writes, however many are allowed. More than both together
    wait for `wait_seconds`, as a SQLite writer does for one of another process. Connects when first used. reserve: of
    the disk that the file is on.
    """

    def __init__(
        self,
        url: URL | str,
        *,
        readers: int = 4,
        writers: int = 4,
        wait_seconds: float = WAIT_SECONDS,
        reserve: Reserve | None = None,
    ) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.reserve, self._wait_seconds = reserve, wait_seconds
        folder = Path(self.url.database).parent if self.is_sqlite and self.url.database else None
        self._translated = partial(translated, folder)
        self.readers, self.writers = readers, 1 if self.is_sqlite else writers
        self._alone = threading.RLock()
        self._one_writer: AbstractContextManager[Any] = self._alone if self.is_sqlite else nullcontext()
        bounds = {"pool_size": self.readers + self.writers, "max_overflow": 0, "pool_timeout": wait_seconds}
        bounds["pool_use_lifo"] = True  # few callers stay on few connections, whose page caches are warm
        if self.is_sqlite:
            self._engine = _sqlite(self.url, bounds, wait_seconds)
            read: dict[str, Any] = {BEGIN: "BEGIN"}
            write: dict[str, Any] = {BEGIN: "BEGIN IMMEDIATE"}
        else:
            self._engine = _postgresql(self.url, bounds)
            read = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            write = {"isolation_level": "READ COMMITTED"}
        self._reading = self._engine.execution_options(**read)
        self._durable = self._engine.execution_options(**write, **{SYNCHRONOUS: "FULL"})
        self._unchecked = self._durable.execution_options(**{UNCHECKED: True})
        self._not_durable = self._engine.execution_options(**write, **{SYNCHRONOUS: "NORMAL"})

    @contextmanager
    def write(self, *, durable: bool = True, grows: bool = False) -> Iterator[Connection]:
        """One transaction, on disk when the block has been left without an error. Raises StoreFull, StoreConflict.

        grows: it adds what is not small, and is refused (StoreFull) where there is no room for the reserve as well.
        Not durable: a killed process still loses nothing, a power cut may lose what no durable transaction followed.
        PostgreSQL has no such middle (without its own fsync a killed server loses commits), so there all are durable.
        """
        if grows:
            self.check_room()
        engine = self._durable if durable else self._not_durable
        with self._translated(), self._one_writer, engine.begin() as connection:
            yield connection

    def check_room(self) -> None:
        """Before something that is not small is written beside it. Raises StoreFull, where the reserve has no room."""
        if self.reserve is not None and not self.reserve.take():
            raise StoreFull("the disk has no room left")

    @property
    def short_of_room(self) -> bool:
        """Whether the reserve is given free."""
        return self.reserve is not None and not self.reserve.held

    def reclaim(self) -> None:
        """The reserve is taken back where there is room for it by now."""
        if self.reserve is not None and not self.reserve.held:
            self._empty_log()
            self.reserve.take()

    def freeing(self, work: Callable[[], T]) -> T:
        """What makes room, in transactions of its own: where none is left, in that of the reserve, which is taken back
        afterwards where that can be. Raises StoreFull where not even that is enough, and what `work` raises.
        """
        if self.reserve is None:
            return work()
        if not self.reserve.short:
            with suppress(StoreFull):
                return work()
        with self.alone():
            try:
                self.reserve.release_most()
                return work()
            finally:  # the log goes into the file, which may grow: work that had not enough room has taken all
                self.reserve.release()
                self._empty_log()
                self.reserve.take()

    def free_in_steps(self, step: Callable[[int], bool]) -> None:
        """step: a transaction of its own that takes at most so many rows, as often as it is True; each by `freeing`, of
        fewer rows where there was no room for them. Raises StoreFull where there is none for one.
        """
        most = _ROWS
        while True:
            try:
                if not self.freeing(partial(step, most)):
                    return
            except StoreFull:
                if most == 1:
                    raise
                most = max(1, most // 4)

    def _empty_log(self) -> None:
        """The write-ahead log into the file, where no reader is in the way: what was deleted is free for new rows."""
        with suppress(StoreError), self.outside() as connection:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {_READERS_MS}")
            try:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {round(self._wait_seconds * 1000)}")

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A durable `write` that may make tables anew which others refer to: on SQLite foreign keys do nothing in it.

        Raises StoreConflict where a row refers to nothing at its end.
        """
        with self._translated(), self._one_writer, self._unchecked.connect() as connection:
            if self.is_sqlite:
                connection.detach()  # from the pool: it is closed afterwards, and no other transaction goes unchecked
            with connection.begin():
                yield connection
                if self.is_sqlite:
                    _check_references(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot, never waiting for a writer."""
        with self._translated(), self._reading.begin() as connection:
            yield connection

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """For a single statement that reads, and so is a snapshot by itself: no BEGIN, no COMMIT, one round trip.

        Two statements may see two states. Rows are fetched before the block is left. SQLite saves 0.02 ms of `read`,
        PostgreSQL 0.15 (benchmarks.store.load: `alone` beside `Core`).
        """
        with self._translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def outside(self) -> Iterator[Connection]:
        """SQLite only: every statement by itself, while nobody of this process writes; for VACUUM and checkpoints."""
        assert self.is_sqlite
        with self._translated(), self._alone, self._engine.connect() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[None]:
        """SQLite: nobody of this process writes meanwhile, but for the calls inside. PostgreSQL: nothing is held."""
        with self._one_writer:
            yield

    def exclude(self, connection: Connection, name: str) -> None:
        """In a transaction that writes: nobody else goes beyond this line with that name until it has ended."""
        if not self.is_sqlite:
            connection.execute(select(func.pg_advisory_xact_lock(lock_number(connection, name))))

    def insert(self, table: Table) -> Any:
        """INSERT with ON CONFLICT, which SQLAlchemy has in each dialect of its own."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def vacuum(self) -> bool:
        """SQLite only: the file anew without its free space, the write-ahead log emptied. False where a long read was
        in the way of that: again.
        """
        with self.outside() as connection:
            connection.exec_driver_sql("VACUUM")
            busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        return not busy

    def close(self) -> None:
        """After the last transaction has ended."""
        self._engine.dispose()


def lock_number(connection: Connection, name: str) -> int:
    """64 bits, the same in every process: of a name in the connection's schema."""
    inside = f"ragpod {inspect(connection).default_schema_name} {name}"
    return int.from_bytes(hashlib.sha256(inside.encode()).digest()[:8], "big", signed=True)


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
        if options.get(UNCHECKED):  # nor is this
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        if statement := options.get(BEGIN):
            connection.exec_driver_sql(statement)

    return engine


def _check_references(connection: Connection) -> None:
    """SQLite's own check after its procedure for tables that are made anew (sqlite.org/lang_altertable.html)."""
    if broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        table, _, parent, _ = broken
        raise StoreConflict(f"a row of {table} refers to a row of {parent} that is not there")


def _postgresql(url: URL, bounds: dict[str, Any]) -> Engine:
    """A connection is tried before it is used (a round trip): those that a restart has ended are made anew.

    Without a transaction where no option asks for one: psycopg takes 0.04 ms to be told so anew each time.
    """
    given = {name: value for name, value in LIBPQ.items() if name not in url.query}
    try:
        engine = create_engine(url, connect_args=given, isolation_level="AUTOCOMMIT", pool_pre_ping=True, **bounds)
    except ModuleNotFoundError as error:
        raise NotInstalled(f"{error}: PostgreSQL needs `{command('psycopg')}`") from error

    @event.listens_for(engine, "before_cursor_execute")
    def executing(_connection: Connection, cursor: Any, _sql: str, _values: Any, context: Any, _many: bool) -> None:
        if context.execution_options.get(BINARY):
            cursor.format = 1  # psycopg.pq.Format.BINARY

    return engine
