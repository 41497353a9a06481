"""What a site's robots.txt lets us fetch (RFC 9309), read once a run and site."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from protego import Protego
from yarl import URL

from server.cli.base.terminal import ItemFailed

AGENT = "ragpod"
BYTES = 500 << 10  # that RFC 9309 (2.5) asks to be read at the least
_UNREACHABLE = frozenset({408, 429}) | frozenset(range(500, 600))

# The status and the beginning of what is at a URL; raises what a request raises.
Fetch = Callable[[URL], Awaitable[tuple[int, bytes]]]


@dataclass(frozen=True, slots=True)
class Rules:
    """refused: why nothing at all may be fetched; "" where `parsed` says what. delay: seconds between two requests."""

    parsed: Protego | None = None
    refused: str = ""

    def check(self, url: URL) -> None:
        """Raises ItemFailed."""
        if self.refused:
            raise ItemFailed(self.refused)
        if self.parsed is not None and not self.parsed.can_fetch(str(url), AGENT):
            raise ItemFailed(f"robots.txt of {url.host} does not allow it")

    @property
    def delay(self) -> float:
        return (self.parsed.crawl_delay(AGENT) if self.parsed is not None else None) or 0.0


class Robots:
    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: dict[URL, asyncio.Future[Rules]] = {}

    async def of(self, url: URL) -> Rules:
        """Asked for once, however many wait for it. Raises nothing: who cannot be asked allows nothing."""
        site = url.origin()
        if site not in self._known:
            self._known[site] = asyncio.ensure_future(self._read(site))
        return await asyncio.shield(self._known[site])

    async def _read(self, site: URL) -> Rules:
        try:
            status, body = await self._fetch(site / "robots.txt")
        except (ItemFailed, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Rules(refused=f"robots.txt of {site.host}: {error or type(error).__name__}")
        if status in _UNREACHABLE:
            return Rules(refused=f"robots.txt of {site.host} answers {status}, so nothing may be fetched (RFC 9309)")
        return Rules(Protego.parse(body.decode("utf-8-sig", "replace")) if 200 <= status < 300 else None)
