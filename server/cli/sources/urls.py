"""A file of URLs as a source: one a line, # begins a comment."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

from yarl import URL

from server.cli.base.terminal import CommandError, ItemFailed
from server.cli.sources.base import Fetched, Gone, Item, Known, Unchanged
from server.cli.sources.fetching import HEADERS, Fetcher, Limits, checked
from server.cli.sources.naming import names, printable
from server.cli.sources.pace import Pace
from server.outgoing.addresses import Allowed
from server.outgoing.client import open_session


class UrlList:
    """A Source. delay: seconds between two requests to one host.

    The file is read for every reading. Raises CommandError where it has a line that is no URL, or cannot be read.
    """

    def __init__(self, path: Path, *, allowed: Allowed, limits: Limits, delay: float) -> None:
        self._path, self._allowed, self._limits, self._delay = path, allowed, limits, delay
        self.shown = printable(path.name)
        # Two lists of one name are two; where they are is nobody's business who may search.
        self.label = f"{self.shown[:400]}#{sha256(os.fsencode(path.resolve())).hexdigest()[:8]}"
        self._urls()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["_Listed"]:
        seconds = self._limits.seconds
        async with open_session(
            self._allowed, headers=HEADERS, total_seconds=seconds, silence_seconds=min(30.0, seconds)
        ) as session:
            yield _Listed(self._urls(), Fetcher(session, self._limits, Pace(self._delay)))

    def _urls(self) -> list[URL]:
        """In the file's order, each once."""
        try:
            lines = self._path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{self._path}: {error}") from None
        found: dict[URL, None] = {}
        for number, line in enumerate(lines, start=1):
            if (text := _without_comment(line)) and not text.startswith("#"):
                found[_url(text, f"{self._path}:{number}")] = None
        return list(found)


class _Listed:
    """A Reading: what the file says is always whole."""

    problem = ""

    def __init__(self, urls: Sequence[URL], fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self.items = [Item(str(url), name) for url, name in zip(urls, names(urls), strict=True)]

    @asynccontextmanager
    async def turn(self, item: Item) -> AsyncIterator[None]:
        async with self._fetcher.pace.lane(URL(item.url).host or ""):
            yield

    async def fetch(self, item: Item, known: Known | None) -> Fetched | Unchanged | Gone:
        return await self._fetcher.fetch(item, known)


def _without_comment(line: str) -> str:
    """A # within a URL is its fragment: a comment stands after a blank."""
    return line.split(" #")[0].split("\t#")[0].strip()


def _url(text: str, where: str) -> URL:
    try:
        return checked(URL(text)).with_fragment(None)
    except (ValueError, ItemFailed) as error:
        raise CommandError(f"{where}: {error}") from None
