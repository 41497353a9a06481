"""Uploads on their way: a stream becomes a file, whose digest and size are known at its end."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from retrieval.blobs.errors import BlobTooLarge
from retrieval.blobs.temporary import PIECE, temporary, write_all


@dataclass(frozen=True, slots=True)
class Staged:
    """digest: as in base.py. path: there until the block is left."""

    path: Path
    digest: str
    bytes: int


@contextmanager
def staged(source: BinaryIO | Iterable[bytes], folder: Path, limit: int | None) -> Iterator[Staged]:
    """The whole source as a file in `folder`, not yet synced: `BlobStore.put` does that.

    The folder is there (`without_leftovers`), best on the disk where blobs are kept: a put then copies nothing.
    limit: bytes. Raises BlobTooLarge, StoreFull, StoreUnavailable, and what reading the source raises.
    """
    digest, size = hashlib.sha256(), 0
    with temporary(folder) as (path, file):
        for piece in _pieces(source):
            size += len(piece)
            if limit is not None and size > limit:
                raise BlobTooLarge(f"more than {limit} bytes")
            digest.update(piece)
            write_all(file, piece)
        yield Staged(path, digest.hexdigest(), size)


def _pieces(source: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    """A file's own iteration would give lines."""
    read = getattr(source, "read", None)
    return iter(source) if read is None else iter(lambda: read(PIECE), b"")
