"""Copies of a SQLite file that another process may be writing, and what a copy is worth."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from retrieval.database.errors import StoreUnavailable


def snapshot(source: Path, target: Path) -> None:
    """One state of it in a new file (0600), without free space: a read transaction, which no writer waits for.

    Raises StoreUnavailable.
    """
    with _opened(source) as database:
        database.execute("VACUUM INTO ?", (str(target),))
    target.chmod(0o600)


def column(path: Path, query: str) -> list[str]:
    """Of every row, the first one. Raises StoreUnavailable."""
    with _opened(path) as database:
        return [str(value) for value, *_ in database.execute(query)]


def unsound(path: Path) -> str | None:
    """What SQLite says is wrong with the file; None where nothing is."""
    try:
        told = column(path, "PRAGMA integrity_check")
    except StoreUnavailable as error:
        return str(error)
    return None if told == ["ok"] else told[0]


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
            yield database
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path}: {error}") from None
