"""Blobs as objects of a bucket, on any server that speaks S3, by obstore.

Keys come from the usual AWS_* environment variables, or from the machine's role. They need s3:GetObject, PutObject,
DeleteObject, AbortMultipartUpload and ListBucket: without the last one AWS answers 403 for what is missing. Uploads in
parts that fail are aborted; those of a killed process stay, unseen, until a rule of the bucket removes them
(AbortIncompleteMultipartUpload).
"""

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from models.packages import NotInstalled, command
from retrieval.blobs.address import Address, address_of
from retrieval.blobs.base import checked
from retrieval.blobs.errors import BlobMissing
from retrieval.blobs.translation import TOLD
from retrieval.database.errors import StoreError, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from obstore.store import BackoffConfig, ClientConfig, RetryConfig, S3Config

log = logging.getLogger("ragpod.store")

PIECE = 1 << 20  # the least that is read at once
# S3's smallest part: 10 000 of them, the most, are 48 GiB. Two at once take 16 MiB of memory, and 2.8 Mbit/s are enough
# for both to be sent within WAIT_SECONDS.
PART, PARTS_AT_ONCE = 5 << 20, 2
WAIT_SECONDS = 30.0
_STATUS, _CODE = re.compile(r"status code: (\d{3})"), re.compile(r"<Code>(\w{1,64})</Code>")
_KIND = re.compile(r"kind: (\w{1,64})")  # of what failed before there was a status: Connect, Timeout
# MinIO's and Ceph's; S3 itself is never full.
_NO_ROOM = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"})


class BucketBlobs:
    """A BlobStore. Asks nothing before the first call.

    wait_seconds: of silence, and after which nothing is tried again: a request to a server that hangs ends within twice
    as many. Raises ValueError, which repeats nothing of the URL, and NotInstalled.
    """

    def __init__(self, url: str, *, wait_seconds: float = WAIT_SECONDS) -> None:
        address = address_of(url)
        try:
            import obstore
            from obstore.store import S3Store
        except ModuleNotFoundError as error:
            raise NotInstalled(f"{error}: a bucket needs `{command('obstore')}`") from error
        self._obstore = obstore
        self._bucket = S3Store(
            address.bucket,
            prefix=address.prefix or None,
            config=_config(address),
            client_options=_client(wait_seconds),
            retry_config=_retries(wait_seconds),
        )

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
        except (self._obstore.exceptions.BaseError, OSError) as error:
            kind, reason = _judged(error)
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


def _judged(error: Exception) -> tuple[type[StoreError], str]:
    """What it means, and what of it may be logged: an answer's body names keys, the URL of a role's has its token."""
    text = str(error)
    found = [match[1] for pattern in (_STATUS, _CODE, _KIND) if (match := pattern.search(text))]
    reason = " ".join([type(error).__name__, *found])
    if "NoSuchKey" in found:
        return BlobMissing, reason
    return (StoreFull if "507" in found or not _NO_ROOM.isdisjoint(found) else StoreUnavailable), reason


def _config(address: Address) -> "S3Config":
    """Over what the environment says. Objects are deleted one by one: not every server can do more."""
    config: S3Config = {"disable_bulk_delete": True}
    if address.region:
        config["region"] = address.region
    if address.endpoint:
        config |= {
            "endpoint": address.endpoint,
            "aws_endpoint_url_s3": address.endpoint,  # else AWS_ENDPOINT_URL_S3 would win
            "virtual_hosted_style_request": False,
        }
    return config


def _client(wait_seconds: float) -> "ClientConfig":
    silence = timedelta(seconds=wait_seconds)
    return {
        "allow_http": True,  # where the endpoint says so
        "connect_timeout": min(silence, timedelta(seconds=5)),
        "read_timeout": silence,
        "timeout": timedelta(days=1),  # of a whole answer: who reads it may take long
    }


def _retries(wait_seconds: float) -> "RetryConfig":
    pauses: BackoffConfig = {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2)}
    return {"max_retries": 3, "retry_timeout": timedelta(seconds=wait_seconds), "backoff": pauses}
