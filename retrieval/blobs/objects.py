"""What others keep in a bucket, listed and read, never written.

Credentials are those of retrieval/blobs/bucket.py; they need s3:ListBucket and GetObject.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from retrieval.blobs.address import address_of
from retrieval.blobs.errors import BlobMissing, BlobTooLarge
from retrieval.blobs.s3 import WAIT_SECONDS, Connection, judged
from retrieval.database.errors import StoreUnavailable

_PIECE = 1 << 20
_ODD_NAME = re.compile(r'Path ("[^"\n]*")')


@dataclass(frozen=True, slots=True)
class StoredObject:
    """key: below the prefix. etag: as the server has it, else of what it says beside it: another one, other bytes."""

    key: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Content:
    """encoding: "gzip" where it was put there packed; "" for plain."""

    data: bytes
    media_type: str
    encoding: str
    etag: str
    modified: datetime


class BucketObjects:
    """The objects below `s3://bucket/prefix?endpoint=…&region=…`. Its calls block.

    wait_seconds: as of BucketBlobs. Raises ValueError, which repeats nothing of the URL, and NotInstalled.
    """

    def __init__(self, url: str, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self.address = address_of(url)
        connection = Connection(self.address, wait_seconds)
        self._obstore, self._bucket, self._failures = connection.library, connection.bucket, connection.failures

    def listed(self) -> Iterator[StoredObject]:
        """In the order of their keys. Raises StoreUnavailable where the list breaks off; what came before is true.

        A name that is no path (`a//b`, `..`, control characters) breaks it off too: object_store reads it no further.
        """
        with self._told():
            listing = iter(self._obstore.list(self._bucket, chunk_size=1))  # what is in a broken chunk would be lost
        while True:
            with self._told():
                chunk = next(listing, None)
            if chunk is None:
                return
            yield from map(_stored, chunk)

    def read(self, key: str, limit: int) -> Content:
        """Raises BlobMissing; BlobTooLarge before more than the limit is read; StoreUnavailable."""
        with self._told():
            found = self._obstore.get(self._bucket, key)
            meta, attributes = _stored(found.meta), found.attributes
            if meta.size > limit:
                raise BlobTooLarge(f"larger than {limit:,} bytes")
            data = bytearray()
            for piece in found.stream(_PIECE):
                data += piece
                if len(data) > limit:
                    raise BlobTooLarge(f"larger than {limit:,} bytes")
        kind, encoding = str(attributes.get("Content-Type", "")), str(attributes.get("Content-Encoding", ""))
        return Content(bytes(data), kind, encoding.strip().lower(), meta.etag, meta.modified)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._failures as error:
            kind, reason = judged(error)
            if kind is BlobMissing:
                raise BlobMissing("the object is gone") from None
            if type(error).__name__ == "InvalidPathError":
                odd = _ODD_NAME.search(str(error))
                name = f" ({odd[1]})" if odd else ""
                raise StoreUnavailable(f"an object's name is no path, and no more can be listed{name}") from None
            raise StoreUnavailable(f"the bucket does not answer as it should: {reason}") from None


def _stored(meta: Mapping[str, Any]) -> StoredObject:
    size, modified = int(meta["size"]), meta["last_modified"]
    return StoredObject(meta["path"], size, meta.get("e_tag") or f"{size}-{modified.isoformat()}", modified)
