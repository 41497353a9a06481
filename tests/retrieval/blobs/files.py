"""Files to put, and what is read back."""

import hashlib
import random
from contextlib import closing
from pathlib import Path

from retrieval.blobs.base import BlobStore


def content(bytes_: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(bytes_)


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(blobs: BlobStore, folder: Path, content: bytes) -> str:
    path = folder / "file"
    path.write_bytes(content)
    blobs.put(digest := digest_of(content), path)
    path.unlink()
    return digest


def read(blobs: BlobStore, digest: str) -> bytes:
    with closing(blobs.open(digest)) as stream:
        return stream.read()
