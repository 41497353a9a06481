"""Room that is set aside on the disk of a data folder, so that a full one can be emptied, and opened.

Whatever a database does to delete a row it writes first: SQLite's write-ahead log takes every page that changes, and
its index. Neither incremental vacuum nor tombstones need less, both are writes. So the room for that is taken while
there is some, and given free for as long as it takes to make more.
"""

import logging
import os
import threading
from pathlib import Path

log = logging.getLogger("ragpod.store")


class Reserve:
    """A file of so many bytes, every block of it allocated. Thread-safe; one for all databases of the folder.

    While it is given free nothing that grows is written (Database.write), and whoever wants to takes it back first.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size
        self._guard = threading.Lock()
        self._held = self._short = False

    @property
    def held(self) -> bool:
        return self._held

    @property
    def short(self) -> bool:
        """It was given free, or there was no room for it."""
        return self._short

    def take(self) -> bool:
        """False where there is no room for it; nothing is left of the try."""
        with self._guard:
            if not self._held:
                self._held = self._allocated(self._size)
                self._short = not self._held
                if self._held:
                    log.info("%s holds %d bytes", self._path, self._size)
            return self._held

    def release(self) -> bool:
        """Its room is free. False where none was taken: on disk it may be, from an earlier start."""
        return self._cut(0)

    def release_most(self) -> None:
        """All but a quarter, which is for what must follow on the use of the rest."""
        quarter = self._size // 4
        if self._cut(quarter):
            log.warning("the disk is full: %s (%d bytes) is given free to delete and to start", self._path, self._size)
        else:
            with self._guard:
                self._allocated(quarter)

    def _cut(self, size: int) -> bool:
        """False where it has no more than that."""
        with self._guard:
            self._held, self._short = False, True
            try:
                if not self._path.exists() or self._path.stat().st_blocks * 512 <= size:
                    return False
                os.truncate(self._path, size)
            except OSError as error:
                log.warning("%s cannot be given free: %s", self._path, error)
                return False
        return True

    def _allocated(self, size: int) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return False
        try:
            found = os.fstat(descriptor)
            if found.st_size != size or found.st_blocks * 512 < size:  # a copy of it may have holes
                os.ftruncate(descriptor, size)
                _fill(descriptor, size)
            return True
        except OSError:
            os.ftruncate(descriptor, 0)
            return False
        finally:
            os.close(descriptor)


def _fill(descriptor: int, size: int) -> None:
    """Raises OSError where there is no room. posix_fallocate is not everywhere, and writes no byte where it is."""
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    piece = 1 << 20
    for start in range(0, size, piece):
        os.pwrite(descriptor, os.urandom(min(piece, size - start)), start)
