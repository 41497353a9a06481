"""The drivers' errors as the house's own (errors.py). What is a fault of the code that asked stays what it is."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from retrieval.database.errors import StoreConflict, StoreError, StoreFull, StoreUnavailable

log = logging.getLogger("ragpod.store")

# Primary result codes (sqlite.org/rescode.html); the extended ones have them in their lowest byte.
SQLITE: dict[int, type[StoreError]] = {
    sqlite3.SQLITE_FULL: StoreFull,
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
    "57014": StoreUnavailable,  # query_canceled: a timeout of the server's
    "57P01": StoreUnavailable,  # admin_shutdown
    "57P02": StoreUnavailable,  # crash_shutdown
    "57P03": StoreUnavailable,  # cannot_connect_now
    "08": StoreUnavailable,  # connection
    "23": StoreConflict,  # integrity
    "28": StoreUnavailable,  # refused to log us in
    "3D": StoreUnavailable,  # no such database
    "40": StoreConflict,  # serialization failure, deadlock
    "53": StoreUnavailable,  # resources: connections, memory
}
TOLD = {
    StoreUnavailable: "the database is not available",
    StoreFull: "the database has no room left",
    StoreConflict: "the database has it already, or somebody else changed it meanwhile",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises StoreUnavailable, StoreFull, StoreConflict. Callers are told no more than that: the log has the rest."""
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        kind = kind_of(error)
        if kind is None:
            raise
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
        return None if code is None else SQLITE.get(code & 0xFF)
    state: str | None = getattr(driver, "sqlstate", None)
    if state is None:  # said by the client library: nobody answered, or the connection ended
        lost = error.connection_invalidated or isinstance(error, exc.OperationalError)
        return StoreUnavailable if lost else None
    return POSTGRESQL.get(state) or POSTGRESQL.get(state[:2])
