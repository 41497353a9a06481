"""The body of an answer, within a limit that counts what it unpacks to."""

import zlib
from collections.abc import AsyncIterator, Iterator

import aiohttp

ACCEPT_ENCODING = "gzip"  # what a request should say that is read here
_PIECE = 1 << 16
_GZIP = zlib.MAX_WBITS | 16


class BodyTooLarge(aiohttp.ClientError):
    """More bytes than are wanted; the rest was not read."""


class BodyUnreadable(aiohttp.ClientError):
    """It is packed in a way that was not asked for, or is damaged."""


async def read(response: aiohttp.ClientResponse, limit: int, *, cut: bool = False) -> bytes:
    """All of it, unpacked; of a session without auto_decompress. cut: of a larger one the beginning, and no error.

    However little arrives for it, no more than the limit and a piece is in memory. Raises BodyTooLarge, BodyUnreadable,
    and what aiohttp raises where it breaks off.
    """
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > limit and not cut:
        raise BodyTooLarge(f"larger than {limit:,} bytes")
    body = bytearray()
    async for piece in _unpacked(response):
        body += piece
        if len(body) > limit:
            if cut:
                return bytes(body[:limit])
            raise BodyTooLarge(f"larger than {limit:,} bytes")
    return bytes(body)


def gunzipped(packed: bytes, limit: int) -> bytes:
    """Raises BodyTooLarge, BodyUnreadable."""
    gzip, found = _Gzip(), bytearray()
    for piece in gzip.feed(packed):
        found += piece
        if len(found) > limit:
            raise BodyTooLarge(f"larger than {limit:,} bytes, unpacked")
    if not gzip.whole:
        raise BodyUnreadable("the packed body ends too early")
    return bytes(found)


async def _unpacked(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise BodyUnreadable(f"packed as {encoding[:40]!r}, which was not asked for")
    gzip = _Gzip() if encoding.endswith("gzip") else None
    async for piece in response.content.iter_chunked(_PIECE):
        if gzip is None:
            yield piece
        else:
            for part in gzip.feed(piece):
                yield part
    if gzip is not None and not gzip.whole:
        raise BodyUnreadable("the packed body ends too early")


class _Gzip:
    """One member after another, as RFC 1952 has it; each piece that comes out is 64 KiB at most."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self.whole = True  # nothing yet, or all members to their ends

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """Raises BodyUnreadable."""
        while packed:
            self.whole = False
            try:
                yield self._member.decompress(packed, _PIECE)
            except zlib.error as error:
                raise BodyUnreadable(f"the packed body is damaged: {error}") from None
            packed = self._member.unconsumed_tail
            if self._member.eof:
                packed, self.whole, self._member = self._member.unused_data, True, zlib.decompressobj(_GZIP)
