"""Blobs as objects of a bucket, on any server that speaks S3, by obstore.

Keys come from the usual AWS_* environment variables, or from the machine's role. They need s3:GetObject, PutObject,
DeleteObject, AbortMultipartUpload and ListBucket: without the last one AWS answers 403 for what is missing. Uploads in
parts that fail are aborted; those of a killed process stay, unseen, until a rule of the bucket removes them
(AbortIncompleteMultipartUpload).
"""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from retrieval.blobs.address import address_of
from retrieval.blobs.base import checked
from retrieval.blobs.errors import BlobMissing
from retrieval.blobs.s3 import WAIT_SECONDS, Connection, judged
from retrieval.blobs.translation import TOLD

log = logging.getLogger("ragpod.store")

PIECE = 1 << 20  # the least that is read at once
# S3's smallest part: 10 000 of them, the most, are 48 GiB. Two at once take 16 MiB of memory, and 2.8 Mbit/s are enough
# for both to be sent within WAIT_SECONDS.
PART, PARTS_AT_ONCE = 5 << 20, 2


class BucketBlobs:
    """A BlobStore. Asks nothing before the first call.

    wait_seconds: of silence, and after which nothing is tried again: a request to a server that hangs ends within twice
    as many. Raises ValueError, which repeats nothing of the URL, and NotInstalled.
    """

    def __init__(self, url: str, *, wait_seconds: float = WAIT_SECONDS) -> None:
        connection = Connection(address_of(url), wait_seconds)
        self._obstore, self._bucket, self._failures = connection.library, connection.bucket, connection.failures

    def put(self, digest: str, path: Path) -> None:
        key = checked(digest)
        with self._translated():
            self._obstore.put(self._bucket, key, path, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)

    def open(self, digest: str) -> BinaryIO:
        key = checked(digest)
        with self._translated():
            pieces = iter(self._obstore.get(self._bucket, key).stream(PIECE))
        return io.BufferedReader(_Reading(self._each(pieces)))

    def has(self, digest: str) -> bool:
        key = checked(digest)
        with self._translated(), suppress(FileNotFoundError):
            self._obstore.head(self._bucket, key)
            return True
        try:
            self.open(digest).close()  # its answer tells a missing blob from a missing bucket, that to HEAD is empty
        except BlobMissing:
            return False
        return True

    def delete(self, digest: str) -> None:
        key = checked(digest)
        with suppress(BlobMissing), self._translated():
            self._obstore.delete(self._bucket, key)

    def close(self) -> None:
        """Connections end with their last use."""

    def _each(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            with self._translated():
                piece = next(pieces, b"")
            if not piece:
                return
            yield piece

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raises BlobMissing, StoreFull, StoreUnavailable, without obstore's own error: that quotes whole answers."""
        try:
            yield
        except self._failures as error:
            kind, reason = judged(error)
            if kind is BlobMissing:
                raise BlobMissing("the blob is gone") from None
            log.warning("%s: %s", TOLD[kind], reason)
            raise kind(TOLD[kind]) from None


class _Reading(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        """Drops the connection, where it was not read to its end."""
        self._pieces, self._left = iter(()), memoryview(b"")
        super().close()
