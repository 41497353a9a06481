"""What a parser asks for pictures of text, and what it is told: OCR itself is somebody else's (retrieval.sandbox)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unread:
    """A picture that was not recognised. reason: for the file's owner."""

    reason: str


# How many pictures there are, and the pictures (PNG, grey), drawn as they are taken; b"" for one that cannot be drawn.
# For each in turn tesseract's TSV, which may come several pictures later.
Recognise = Callable[[int, Iterable[bytes]], Iterator[str | Unread]]


def beyond(pages: int) -> Unread:
    """A picture that comes after so many others of the same file."""
    return Unread(f"no more than {pages:,} pages of a file are recognised")
