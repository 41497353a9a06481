"""What a request may be answered by, frame for frame; anything else is garbage."""

from collections.abc import Mapping
from typing import Protocol

import orjson

from retrieval.sandbox.frames import HEAD, Garbage
from retrieval.sandbox.pages import MOST
from retrieval.sandbox.recognition import Clock, Recognition, Reply

_WORDS = 1000  # bytes of a frame that only tells a number
_PICTURE = 20_000_000  # bytes of one for OCR, which is grey


class NoSuchPage(IndexError):
    """The file has fewer."""


class Taking(Protocol):
    """Between the request and the end."""

    @property
    def most(self) -> Mapping[bytes, int]:
        """By letter, the bytes that such a frame may have now; what is not named may not come."""
        ...

    async def take(self, letter: bytes, payload: bytes, clock: Clock, reply: Reply) -> None:
        """Raises Garbage."""
        ...

    @property
    def trouble(self) -> Exception | None:
        """What kept the child from being answered, though it was not the file's fault."""
        ...

    def check_whole(self) -> None:
        """The child says that this was all. Raises Garbage."""
        ...

    def no_page(self, message: str) -> Exception:
        """What to raise where the child says that there is no such page. Raises Garbage."""
        ...

    async def end(self) -> None:
        """However it ended."""
        ...


class Documents:
    """Lists of them, `most` bytes together; pictures for OCR before, where there is a recognition."""

    def __init__(self, most: int, recognition: Recognition | None) -> None:
        self._left, self._recognition = most, recognition
        self.payloads: list[bytes] = []

    @property
    def most(self) -> Mapping[bytes, int]:
        pictures = {b"S": _WORDS, b"P": _PICTURE} if self._recognition and not self.payloads else {}
        return {b"D": self._left, **pictures}

    async def take(self, letter: bytes, payload: bytes, clock: Clock, reply: Reply) -> None:
        if letter == b"D":
            self._left -= len(payload) + HEAD
            self.payloads.append(payload)
        elif self._recognition and letter == b"S":
            self._recognition.expect(_pages(payload))
        elif self._recognition:
            await self._recognition.take(payload, clock, reply)

    @property
    def trouble(self) -> Exception | None:
        return self._recognition.trouble if self._recognition else None

    def check_whole(self) -> None:
        pass  # no document at all is found out by `frames.unpacked`

    def no_page(self, message: str) -> Exception:
        raise Garbage("nobody has asked for a page")

    async def end(self) -> None:
        if self._recognition:
            await self._recognition.end()


class One:
    """Exactly one frame, of that letter."""

    def __init__(self, letter: bytes) -> None:
        self._letter = letter
        self._found: list[bytes] = []

    @property
    def payload(self) -> bytes:
        return self._found[0]

    @property
    def most(self) -> Mapping[bytes, int]:
        return {} if self._found else {self._letter: MOST}

    async def take(self, letter: bytes, payload: bytes, clock: Clock, reply: Reply) -> None:
        self._found.append(payload)

    @property
    def trouble(self) -> Exception | None:
        return None

    def check_whole(self) -> None:
        if not self._found:
            raise Garbage("nothing that was asked for")

    def no_page(self, message: str) -> Exception:
        return NoSuchPage(message)

    async def end(self) -> None:
        pass


def _pages(payload: bytes) -> int:
    """Raises Garbage."""
    try:
        pages = orjson.loads(payload)["pages"]
    except (ValueError, TypeError, KeyError):
        raise Garbage("an unreadable count") from None
    if type(pages) is not int:
        raise Garbage("an unreadable count")
    return int(pages)
