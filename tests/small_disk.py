"""A disk without room."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest

NO_MOUNT = "needs to mount a tmpfs, which is forbidden here"


@contextmanager
def small_disk(folder: Path, bytes_: int) -> Iterator[None]:
    """The folder becomes a disk of that size; where nothing may be mounted, no file may be larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    mounted = _mounted(folder, bytes_)
    if not mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if mounted:
            _unmount(folder)


@contextmanager
def disk(folder: Path, bytes_: int) -> Iterator[Path]:
    """The folder, made a disk of that size; the test is skipped where nothing may be mounted."""
    folder.mkdir(exist_ok=True)
    if not _mounted(folder, bytes_):
        pytest.skip(NO_MOUNT)
    try:
        yield folder
    finally:
        _unmount(folder)


class Filling(Protocol):
    """A disk that can be made full, and have room again."""

    def fill(self, but: int) -> None:
        """But for so many bytes."""
        ...

    def empty(self) -> None: ...


class Disk:
    """One of its own, mounted at the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fill(self, but: int) -> None:
        fill(self._folder, but)

    def empty(self) -> None:
        empty(self._folder)


class FileSizes:
    """No file of this process may become larger than the largest one in the folder is (RLIMIT_FSIZE): a database that
    cannot grow, where nothing can be mounted. SQLite and blobs meet EFBIG, as they meet ENOSPC on a full disk.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._usual = folder, resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self, but: int) -> None:
        largest = max((path.stat().st_size for path in self._folder.rglob("*.db")), default=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + but, self._usual[1]))

    def empty(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._usual)


@contextmanager
def filling(folder: Path, bytes_: int, *, mounted: bool) -> Iterator[Filling]:
    """mounted: a disk of that size, or the test is skipped; else the sizes of files are limited."""
    if mounted:
        with disk(folder, bytes_):
            yield Disk(folder)
        return
    folder.mkdir()
    limited = FileSizes(folder)
    try:
        yield limited
    finally:
        limited.empty()


@contextmanager
def full(folder: Path, but: int = 0) -> Iterator[None]:
    """Not a byte of its disk is free meanwhile, but so many."""
    fill(folder, but)
    try:
        yield
    finally:
        empty(folder)


def fill(folder: Path, but: int = 0) -> None:
    with (folder / "filler").open("ab", buffering=0) as filler, suppress(OSError):
        while (free := _free(folder) - but) > 0:
            os.posix_fallocate(filler.fileno(), os.fstat(filler.fileno()).st_size, free)
    if not but:
        with (folder / "filler").open("ab", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(1 << 12))


def empty(folder: Path) -> None:
    (folder / "filler").unlink(missing_ok=True)


def _free(folder: Path) -> int:
    told = os.statvfs(folder)
    return told.f_bavail * told.f_bsize


def _mounted(folder: Path, bytes_: int) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={bytes_}", "tmpfs", str(folder)]
    return not subprocess.run(command, capture_output=True, check=False).returncode


def _unmount(folder: Path) -> None:
    """Lazily: what a test has not closed is closed with its process."""
    subprocess.run(["umount", "-l", str(folder)], check=True)
