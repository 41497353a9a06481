"""One attempt at a delivery: a signed POST, within limits, and what came of it."""

import socket
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
from aiohttp.connector import AddrInfoType

from retrieval.store.outbox.values import DeliveryJob, Outcome
from server.webhooks.addresses import Addresses, CheckedResolver
from server.webhooks.schedule import pause_after
from server.webhooks.signing import headers_of

AGENT = "ragpod-webhooks"
_GONE = 410
_READ = 16 << 10  # bytes of an answer: more is neither waited for nor kept
_HEADER = 8 << 10
_ERROR_CHARACTERS = 300


class Sender:
    """seconds: for all of it, the name's resolution too. clock: Unix seconds."""

    def __init__(self, addresses: Addresses, seconds: float, clock: Callable[[], float]) -> None:
        self._addresses = addresses
        self._seconds = seconds
        self._clock = clock

    async def send(self, job: DeliveryJob) -> Outcome:
        """Raises nothing but what ends the task."""
        try:
            status, asked = await self._post(job)
        except TimeoutError:
            return self._failed(job, None, f"no answer within {self._seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._failed(job, None, _words(error))
        if 200 <= status < 300:
            return Outcome(status)
        if status == _GONE:
            return Outcome(status, "it answered 410: it wants no more", gone=True)
        if 300 <= status < 400:
            return self._failed(job, status, f"it answered {status}: redirects are not followed")
        return self._failed(job, status, f"it answered {status}", asked)

    def _failed(self, job: DeliveryJob, status: int | None, error: str, asked: float | None = None) -> Outcome:
        return Outcome(status, error, pause_after(job.step, asked))

    async def _post(self, job: DeliveryJob) -> tuple[int, float | None]:
        """Status, and what Retry-After asks for in seconds. A session of its own: nothing of one receiver's, no cookie
        and no connection, meets another's.
        """
        payload = job.payload.encode()
        given = {"content-type": "application/json", "user-agent": AGENT}
        given |= headers_of(job.secrets, job.event_id, self._clock(), payload)
        async with (
            aiohttp.ClientSession(
                connector=self._connector(urlsplit(job.url).hostname or ""),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._seconds),
                auto_decompress=False,
                max_line_size=_HEADER,
                max_field_size=_HEADER,
            ) as session,
            session.post(job.url, data=payload, headers=given, allow_redirects=False) as response,
        ):
            with suppress(aiohttp.ClientError, TimeoutError, OSError):  # its status is known
                left = _READ
                while left > 0 and (piece := await response.content.read(left)):
                    left -= len(piece)
            return response.status, _seconds(response.headers.get("retry-after"))

    def _connector(self, host: str) -> aiohttp.TCPConnector:
        """Addresses written as numbers are not resolved: they are looked at where the socket is made, as all are."""

        def checked(found: AddrInfoType) -> socket.socket:
            family, kind, protocol, _, address = found
            self._addresses.check(host, str(address[0]))
            return socket.socket(family, kind, protocol)

        return aiohttp.TCPConnector(
            resolver=CheckedResolver(self._addresses), use_dns_cache=False, force_close=True, socket_factory=checked
        )


def _seconds(value: str | None) -> float | None:
    """Of Retry-After; a date is not understood."""
    return float(value) if value is not None and value.isascii() and value.isdecimal() and len(value) < 10 else None


def _words(error: BaseException) -> str:
    """For the webhook's owner: the cause, where one is hidden inside."""
    inside = getattr(error, "os_error", None)
    shown = str(inside or error) or type(error).__name__
    return shown[:_ERROR_CHARACTERS]
