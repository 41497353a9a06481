"""The drivers' errors as the house's own (errors.py). What is a fault of the code that asked stays what it is."""

import logging
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import exc

from retrieval.database.errors import StoreConflict, StoreError, StoreFull, StoreUnavailable, kind_of_os

log = logging.getLogger("ragpod.store")

# Extended result codes (sqlite.org/rescode.html) first, then primary ones, which are their lowest byte.
SQLITE: dict[int, type[StoreError]] = {
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_IOERR_SHMSIZE: StoreFull,  # no room for the index of the write-ahead log
    sqlite3.SQLITE_CONSTRAINT: StoreConflict,
} | dict.fromkeys(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_NOMEM,
    ),
    StoreUnavailable,
)
# SQLSTATE (PostgreSQL's appendix A): whole codes first, then classes of two characters.
POSTGRESQL: dict[str, type[StoreError]] = {
    "53100": StoreFull,  # disk_full
    "25006": StoreUnavailable,  # read_only_sql_transaction: a standby, for as long as a failover takes
    "55P03": StoreUnavailable,  # lock_not_available
    "57": StoreUnavailable,  # an operator's: shutdown, crash, starting up, a timeout, a database that was dropped
    "58": StoreUnavailable,  # its own input and output
    "25P03": StoreUnavailable,  # a transaction that idled for too long,
    "25P04": StoreUnavailable,  # or took too long
    "XX001": StoreUnavailable,  # data_corrupted
    "XX002": StoreUnavailable,  # index_corrupted
    "08": StoreUnavailable,  # connection
    "23": StoreConflict,  # integrity
    "28": StoreUnavailable,  # refused to log us in
    "3D": StoreUnavailable,  # no such database
    "40": StoreUnavailable,  # serialization failure, deadlock: what was asked is right, and the same succeeds later
    "53": StoreUnavailable,  # resources: connections, memory
}
TOLD = {
    StoreUnavailable: "the database is not available",
    StoreFull: "the database has no room left",
    StoreConflict: "the database has it already",
}
_PROBE_BYTES = 1 << 16


@contextmanager
def translated(folder: Path | None = None) -> Iterator[None]:
    """Raises StoreUnavailable, StoreFull, StoreConflict. Callers are told no more than that: the log has the rest.

    folder: SQLite's, which is asked where SQLite says no more than that a write failed: a quota is no full disk to it.
    """
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        kind = kind_of(error)
        if kind is None:
            raise
        if folder is not None and _is_write_error(error) and _is_full(folder):
            kind = StoreFull
        if kind is not StoreConflict:
            log.warning("%s: %s", TOLD[kind], getattr(error, "orig", error))
        raise kind(TOLD[kind]) from error


def kind_of(error: exc.DBAPIError | exc.TimeoutError) -> type[StoreError] | None:
    """None for what no waiting and no room would mend: a statement that is wrong."""
    if isinstance(error, exc.TimeoutError):  # all connections of the pool were in use for too long
        return StoreUnavailable
    driver = error.orig
    if isinstance(driver, sqlite3.Error):
        code = getattr(driver, "sqlite_errorcode", None)  # absent where Python's own layer raised it
        return None if code is None else SQLITE.get(code) or SQLITE.get(code & 0xFF)
    state: str | None = getattr(driver, "sqlstate", None)
    if state is None:  # said by the client library: nobody answered, or the connection ended
        lost = error.connection_invalidated or isinstance(error, exc.OperationalError)
        return StoreUnavailable if lost else None
    return POSTGRESQL.get(state) or POSTGRESQL.get(state[:2])


def _is_write_error(error: exc.DBAPIError | exc.TimeoutError) -> bool:
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def _is_full(folder: Path) -> bool:
    """By trying."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            probe.write(bytes(_PROBE_BYTES))
    except OSError as error:
        return kind_of_os(error) is StoreFull
    return False
