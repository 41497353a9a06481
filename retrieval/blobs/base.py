"""What keeps blobs. A digest is the SHA-256 of the content as 64 lower-case hexadecimal digits."""

import re
from pathlib import Path
from typing import BinaryIO, Protocol

_DIGEST = re.compile(r"[0-9a-f]{64}")


class BlobStore(Protocol):
    """Thread-safe and blocking: never called on the event loop. Every call may raise StoreUnavailable.

    A blob is there as a whole or not at all, whenever its writer is killed. A put and a delete of one digest at once
    leave it there or not: who counts the uses lets none of the two begin before the other has ended.
    """

    def put(self, digest: str, path: Path) -> None:
        """The content of the file, of that digest, on disk when this returns; one that is there already is no error.

        The file stays where it is, and its owner removes it. It is on its way for good: nobody writes it any more, as
        a folder may link to it instead of copying. Raises StoreFull.
        """
        ...

    def open(self, digest: str) -> BinaryIO:
        """To be read from its start to its end; the caller closes it. Raises BlobMissing, each read StoreUnavailable.

        One that is deleted meanwhile ends in BlobMissing or in its whole content, never in a part of it.
        """
        ...

    def has(self, digest: str) -> bool: ...

    def delete(self, digest: str) -> None:
        """Does nothing where it is gone."""
        ...

    def close(self) -> None:
        """After the last call has ended."""
        ...


def checked(digest: str) -> str:
    """The digest, which becomes a part of a path. Raises ValueError."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"no SHA-256 in lower-case hexadecimal digits: {digest!r}")
    return digest
