"""One document by HTTP: every hop of it looked at, no longer and no larger than allowed, and not again unchanged."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from yarl import URL

from server.cli.base.terminal import ItemFailed
from server.cli.sources.base import Fetched, Gone, Item, Known, Unchanged
from server.cli.sources.naming import fitting, http_of_iso, iso_of_http, media_type
from server.cli.sources.pace import Pace
from server.cli.sources.robots import BYTES, Robots
from server.outgoing.body import ACCEPT_ENCODING, BodyTooLarge, BodyUnreadable, read
from server.outgoing.client import AddressRefused

USER_AGENT = "ragpod/0.1 (fetches a list of documents that its operator keeps; robots.txt: ragpod)"
HEADERS = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": ACCEPT_ENCODING}
REDIRECTS = 8
_MOVED = frozenset({301, 302, 303, 307, 308})
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # worth another try
_PAUSES = (1.0, 4.0)  # seconds before the second and the third try
_LONGEST_PAUSE = 30.0  # of what Retry-After asks for


@dataclass(frozen=True, slots=True)
class Limits:
    """bytes: of a document, unpacked. seconds: of one request with its answer."""

    bytes: int
    seconds: float


class _Passing(Exception):
    """It may be otherwise in a moment. pause: seconds that the server asks for."""

    def __init__(self, told: str, pause: float = 0.0) -> None:
        super().__init__(told)
        self.pause = pause


class Fetcher:
    """session: of server.outgoing.client. sleep: between two tries."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        limits: Limits,
        pace: Pace,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._session, self._limits, self.pace, self._sleep = session, limits, pace, sleep
        self._robots = Robots(self._robots_txt)

    async def fetch(self, item: Item, known: Known | None) -> Fetched | Unchanged | Gone:
        """Up to three tries. Raises ItemFailed."""
        for pause in (*_PAUSES, None):
            try:
                return await self._try(item, known)
            except _Passing as error:
                if pause is None:
                    raise ItemFailed(str(error)) from None
                await self._sleep(min(max(pause, error.pause), _LONGEST_PAUSE))
        raise AssertionError("the last try returns or raises")

    async def _try(self, item: Item, known: Known | None) -> Fetched | Unchanged | Gone:
        """Raises ItemFailed, _Passing."""
        try:
            async with self._answer(URL(item.url), _conditions(known), self._admitted) as response:
                return await self._judged(item, known, response)
        except (AddressRefused, BodyTooLarge, BodyUnreadable, aiohttp.InvalidURL) as error:
            raise ItemFailed(str(error)) from None
        except TimeoutError:
            raise _Passing(f"no whole answer within {self._limits.seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _Passing(str(error) or type(error).__name__) from None

    async def _judged(
        self, item: Item, known: Known | None, response: aiohttp.ClientResponse
    ) -> Fetched | Unchanged | Gone:
        status, headers = response.status, response.headers
        told = f"HTTP {status} {response.reason or ''}".strip()
        if status == 304 and known is not None:
            return Unchanged()
        if status in (404, 410):
            return Gone(told)
        if status in _PASSING:
            raise _Passing(told, _seconds(headers.get("Retry-After", "")))
        if status != 200:
            raise ItemFailed(told)
        if not (content := await read(response, self._limits.bytes)):
            raise ItemFailed("it is empty")
        kind = media_type(headers.get("Content-Type", ""))
        name = fitting(item.name, kind, headers.get("Content-Disposition", ""))
        etag, modified = headers.get("ETag", ""), iso_of_http(headers.get("Last-Modified", ""))
        return Fetched(name, content, kind, etag, modified)

    async def _admitted(self, url: URL) -> None:
        """Raises ItemFailed where the site's robots.txt is against it; else waits for its turn."""
        rules = await self._robots.of(url)
        rules.check(url)
        await self.pace.wait(url.host or "", rules.delay)

    async def _robots_txt(self, url: URL) -> tuple[int, bytes]:
        async with self._answer(url, {}, self._paced) as response:
            return response.status, await read(response, BYTES, cut=True) if response.status == 200 else b""

    async def _paced(self, url: URL) -> None:
        await self.pace.wait(url.host or "")

    @asynccontextmanager
    async def _answer(
        self, url: URL, headers: dict[str, str], before: Callable[[URL], Awaitable[None]]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The first answer that leads nowhere else. before: each request. Raises ItemFailed, and what a request
        raises.
        """
        for _ in range(REDIRECTS + 1):
            await before(checked(url))
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status not in _MOVED or not (location := response.headers.get("Location")):
                    yield response
                    return
            try:
                url = url.join(URL(location)).with_fragment(None)
            except ValueError:
                raise ItemFailed("it leads to what is no URL") from None
        raise ItemFailed(f"more than {REDIRECTS} redirects")


def checked(url: URL) -> URL:
    """Raises ItemFailed for what is not asked for at all."""
    if url.scheme not in ("http", "https"):
        raise ItemFailed(f"only http and https are fetched, not {url.scheme or 'what has no scheme'}")
    if not url.host:
        raise ItemFailed("it names no host")
    if url.user is not None or url.password is not None:
        raise ItemFailed("a user or password in a URL is not sent, and would be kept with the document")
    return url


def _conditions(known: Known | None) -> dict[str, str]:
    if known is None:
        return {}
    date = http_of_iso(known.modified) if known.modified else ""
    return {name: value for name, value in (("If-None-Match", known.etag), ("If-Modified-Since", date)) if value}


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() and len(retry_after) < 6 else 0.0
