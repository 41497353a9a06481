"""Files while they are written: removed however that ends, at the latest when their folder is next opened.

Each is locked (flock) by its writer, and the kernel frees the lock of one that was killed: what no lock protects is a
leftover, in a folder that several processes share too.
"""

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path

from retrieval.blobs.translation import translated

PIECE = 1 << 20
_SUFFIX = ".part"


def without_leftovers(folder: Path, found: Callable[[Path], None] = lambda path: None) -> Path:
    """The folder, which is made (0700) where it is missing; what a killed process left in it is removed.

    found: is called with each before. Raises StoreUnavailable, and what `found` raises.
    """
    with translated():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.glob(f"*{_SUFFIX}"):
            with suppress(FileNotFoundError, BlockingIOError), path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found(path)
                path.unlink()
    return folder


@contextmanager
def temporary(folder: Path) -> Iterator[tuple[Path, FileIO]]:
    """A new file (0600), unbuffered; afterwards nothing has its name. Raises StoreFull, StoreUnavailable."""
    with translated():
        path, file = _locked(folder)
    try:
        yield path, file
    finally:
        with translated(), file:
            path.unlink(missing_ok=True)


def _locked(folder: Path) -> tuple[Path, FileIO]:
    while True:  # until nobody takes it for a leftover between its creation and its lock
        path = folder / f"{uuid.uuid4().hex}{_SUFFIX}"
        with ExitStack() as opened:
            file = opened.enter_context(FileIO(path, "x", opener=_private))
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                opened.pop_all()
                return path, file


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def write_all(file: FileIO, content: bytes) -> None:
    """Raises StoreFull, StoreUnavailable."""
    left = memoryview(content)
    with translated():
        while left:
            left = left[os.write(file.fileno(), left) :]


def sync(path: Path) -> None:
    """A file's content, or which names a folder holds, to disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
