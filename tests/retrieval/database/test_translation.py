"""The table of what databases and disks say, kind by kind."""

import errno
import sqlite3

import psycopg
import pytest
from psycopg import errors as postgresql
from sqlalchemy import exc

from retrieval.database.errors import StoreConflict, StoreError, StoreFull, StoreUnavailable, kind_of_os
from retrieval.database.translation import kind_of

SQLITE = {
    "FULL": StoreFull,
    "IOERR_SHMSIZE": StoreFull,
    "BUSY": StoreUnavailable,
    "BUSY_SNAPSHOT": StoreUnavailable,
    "LOCKED": StoreUnavailable,
    "IOERR": StoreUnavailable,
    "IOERR_FSYNC": StoreUnavailable,
    "READONLY": StoreUnavailable,
    "CORRUPT": StoreUnavailable,
    "CORRUPT_INDEX": StoreUnavailable,
    "NOTADB": StoreUnavailable,
    "CANTOPEN": StoreUnavailable,
    "NOMEM": StoreUnavailable,
    "CONSTRAINT_UNIQUE": StoreConflict,
    "ERROR": None,
    "MISUSE": None,
    "RANGE": None,
}
POSTGRESQL = {
    postgresql.DiskFull: StoreFull,
    postgresql.TooManyConnections: StoreUnavailable,
    postgresql.OutOfMemory: StoreUnavailable,
    postgresql.AdminShutdown: StoreUnavailable,
    postgresql.CrashShutdown: StoreUnavailable,
    postgresql.CannotConnectNow: StoreUnavailable,
    postgresql.QueryCanceled: StoreUnavailable,
    postgresql.DatabaseDropped: StoreUnavailable,
    postgresql.IdleInTransactionSessionTimeout: StoreUnavailable,
    postgresql.ReadOnlySqlTransaction: StoreUnavailable,
    postgresql.LockNotAvailable: StoreUnavailable,
    postgresql.SerializationFailure: StoreUnavailable,
    postgresql.DeadlockDetected: StoreUnavailable,
    postgresql.IoError: StoreUnavailable,
    postgresql.DataCorrupted: StoreUnavailable,
    postgresql.ConnectionFailure: StoreUnavailable,
    postgresql.InvalidPassword: StoreUnavailable,
    postgresql.UniqueViolation: StoreConflict,
    postgresql.ForeignKeyViolation: StoreConflict,
    postgresql.SyntaxError: None,
    postgresql.UndefinedTable: None,
}
SYSTEM = {
    "ENOSPC": StoreFull,
    "EDQUOT": StoreFull,
    "EFBIG": StoreFull,
    "EIO": StoreUnavailable,
    "EROFS": StoreUnavailable,
    "EMFILE": StoreUnavailable,
    "ENFILE": StoreUnavailable,
    "ENOMEM": StoreUnavailable,
    "ENOENT": None,
    "EACCES": None,
    "EPIPE": None,
}


@pytest.mark.parametrize(("name", "kind"), SQLITE.items(), ids=SQLITE)
def test_what_sqlite_says(name: str, kind: type[StoreError] | None) -> None:
    said = sqlite3.OperationalError(name)
    said.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
    assert kind_of(exc.OperationalError(None, None, said)) is kind


@pytest.mark.parametrize(("said", "kind"), POSTGRESQL.items(), ids=lambda value: value.__name__ if value else "none")
def test_what_postgresql_says(said: type[psycopg.Error], kind: type[StoreError] | None) -> None:
    assert kind_of(exc.DBAPIError(None, None, said("told"))) is kind


@pytest.mark.parametrize(("name", "kind"), SYSTEM.items(), ids=SYSTEM)
def test_what_the_operating_system_says(name: str, kind: type[StoreError] | None) -> None:
    assert kind_of_os(OSError(getattr(errno, name), name)) is kind
