"""What a source is to the one who follows it (following.py)."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

LONGEST = 512  # of a name, an address and a tag: what the server keeps of each


@dataclass(frozen=True, slots=True)
class Item:
    """One document as a source lists it. url: by which it is known again. name: what the store calls the file.

    etag: of its content, where the list has it: the same as the store's is not read again. bytes: likewise.
    """

    url: str
    name: str
    etag: str = ""
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What the store has of an item, as the source told it then. modified: ISO 8601, UTC; "" where it was not told."""

    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """name: as the content has it, where the list could not say."""

    name: str
    content: bytes
    media_type: str = ""
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The source says that the store has it as it is."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The source says that there is no such document, and there will be none."""

    reason: str


class Reading(Protocol):
    """A source, listed. problem: why the list is not whole; "" where it is."""

    @property
    def items(self) -> Sequence[Item]: ...
    @property
    def problem(self) -> str: ...

    def turn(self, item: Item) -> AbstractAsyncContextManager[None]:
        """What it waits for before it takes one of the places, and holds until it is fetched."""

    async def fetch(self, item: Item, known: Known | None) -> Fetched | Unchanged | Gone:
        """known: of what the store has completely. Raises ItemFailed."""


class Source(Protocol):
    """label: by which the store knows what came from here. shown: the same for people."""

    @property
    def label(self) -> str: ...
    @property
    def shown(self) -> str: ...

    def reading(self) -> AbstractAsyncContextManager[Reading]:
        """Listed anew. Raises CommandError where there is no list to begin with."""
