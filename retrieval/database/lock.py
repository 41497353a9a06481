"""One process at a time writes a data directory; who that is can be read by everyone."""

import fcntl
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from retrieval.database.errors import DataDirLocked

_NAME = "lock"
log = logging.getLogger("ragpod.store")


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that has the directory; url: of its server, once it listens."""

    pid: int | None
    url: str | None


class DataDirLock:
    """Held from construction to close(); the kernel frees it when the process dies, however it dies.

    Raises DataDirLocked.
    """

    def __init__(self, data_dir: Path) -> None:
        self._descriptor = os.open(data_dir / _NAME, os.O_RDWR | os.O_CREAT, 0o600)
        if not _taken(self._descriptor):
            os.close(self._descriptor)
            holder = _read(data_dir) or Holder(None, None)
            where = f" at {holder.url}" if holder.url else ""
            message = f"{data_dir} is in use by process {holder.pid or 'unknown'}{where}"
            raise DataDirLocked(message, holder.pid, holder.url)
        self.announce(None)

    def announce(self, url: str | None) -> None:
        """Tells readers of the lock file where this process listens. On a full disk they learn only that it does."""
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)
        except OSError as error:
            log.warning("where this process listens cannot be written down: %s", error)

    def close(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def _taken(descriptor: int) -> bool:
    """Tried for a moment: holder_of, or a process that is just ending, may be in the way."""
    for pause in (0.05, 0.1, 0.2, None):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if pause:
                time.sleep(pause)
        else:
            return True
    return False


def holder_of(data_dir: Path) -> Holder | None:
    """Who has the directory now; None when nobody has."""
    try:
        descriptor = os.open(data_dir / _NAME, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(data_dir) or Holder(None, None)
    finally:
        os.close(descriptor)
    return None


def _read(data_dir: Path) -> Holder | None:
    try:
        told = json.loads((data_dir / _NAME).read_bytes())
    except (OSError, ValueError):  # between the truncation and the write
        return None
    return Holder(told.get("pid"), told.get("url"))
