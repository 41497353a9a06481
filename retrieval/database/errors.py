"""What a database or a disk can answer instead of rows and bytes; whoever catches these loads no database.

StoreError
├── StoreUnavailable    it cannot be reached, is busy for longer than a transaction waits, is not well, or another
│                       transaction won: the same may succeed later
├── StoreFull           it has no room left: the same fails until somebody makes some
├── StoreConflict       the row is there already: nothing was written
├── NewerDatabase       it was written by a newer ragpod
└── DataDirLocked       another process holds the data directory

An OSError that nobody foresaw has the same two ends: `kind_of_os`.
"""

import errno

# What errno(3) says where the same succeeds once somebody has made room, or once the disk or the process is well again.
# EFBIG: `ulimit -f`, or a file system's largest file.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NOT_WELL = frozenset(
    {
        errno.EIO,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EBUSY,
        errno.ESTALE,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOLCK,
    }
)


class StoreError(Exception):
    pass


class StoreUnavailable(StoreError):
    pass


class StoreFull(StoreError):
    pass


class StoreConflict(StoreError):
    pass


class NewerDatabase(StoreError):
    pass


class DataDirLocked(StoreError):
    """pid and url are the holder's, as far as it has told them."""

    def __init__(self, message: str, pid: int | None = None, url: str | None = None) -> None:
        super().__init__(message)
        self.pid = pid
        self.url = url


def kind_of_os(error: OSError) -> type[StoreError] | None:
    """StoreFull, StoreUnavailable; None for what is no trouble of the disk's or the process's."""
    if error.errno in NO_ROOM:
        return StoreFull
    return StoreUnavailable if error.errno in NOT_WELL else None
