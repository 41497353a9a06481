"""Blobs as files: FOLDER/ab/abcdef…, which several processes may share. Files 0600, folders 0700."""

import errno
import io
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from retrieval.blobs.base import checked
from retrieval.blobs.errors import BlobMissing
from retrieval.blobs.temporary import sync, temporary, without_leftovers
from retrieval.blobs.translation import translated

# Another disk, a file of somebody else, a file system without links.
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class FolderBlobs:
    """A BlobStore. A file of 0600 on the same disk, as staging makes them, is linked to: no byte is copied.

    Raises StoreUnavailable where the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with translated():
            _make(folder)
        self._incoming = without_leftovers(folder / "incoming")
        self._rooms: set[str] = set()  # the folders that are known to be on disk

    def put(self, digest: str, path: Path) -> None:
        target = self._path(digest)
        with translated():
            self._check_disk()
            if target.parent.name not in self._rooms:
                _make(target.parent)
                self._rooms.add(target.parent.name)
            sync(path)
            if not _linked(path, target):
                self._copy(path, target)
            sync(target.parent)

    def open(self, digest: str) -> BinaryIO:
        with translated():
            try:
                return io.BufferedReader(_Reading(self._path(digest)))
            except FileNotFoundError:
                self._check_disk()
                raise BlobMissing(f"the blob {digest} is gone") from None

    def has(self, digest: str) -> bool:
        with translated():
            try:
                self._path(digest).stat()
            except FileNotFoundError:
                self._check_disk()
                return False
        return True

    def delete(self, digest: str) -> None:
        path = self._path(digest)
        with translated():
            try:
                path.unlink()
                sync(path.parent)
            except FileNotFoundError:
                self._check_disk()

    def close(self) -> None:
        """Nothing is held."""

    def _path(self, digest: str) -> Path:
        return self._folder / checked(digest)[:2] / digest

    def _check_disk(self) -> None:
        """Raises OSError where the disk is not mounted: it has not lost its blobs, and takes none meanwhile."""
        self._incoming.stat()

    def _copy(self, path: Path, target: Path) -> None:
        with temporary(self._incoming) as (copy, _):
            shutil.copyfile(path, copy)
            sync(copy)
            copy.replace(target)


class _Reading(io.FileIO):
    """What it raises while it is read is the house's own."""

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        with translated():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with translated():
            return super().readall()


def _linked(path: Path, target: Path) -> bool:
    """False where it has to be copied. Raises OSError."""
    if path.stat().st_mode & 0o777 != 0o600:  # not one of staging's: who can see it may change it
        return False
    try:
        os.link(path, target)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def _make(folder: Path) -> None:
    """0700, and on disk, with the folders above it that are missing. Raises OSError."""
    if not folder.parent.exists():
        _make(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync(folder.parent)
