"""One attempt at a delivery: a signed POST, within limits, and what came of it."""

from collections.abc import Callable
from contextlib import suppress

import aiohttp

from retrieval.store.outbox.values import DeliveryJob, Outcome
from server.outgoing.addresses import Allowed
from server.outgoing.client import CONNECT_SECONDS, AddressRefused, open_session
from server.webhooks.schedule import pause_after
from server.webhooks.signing import headers_of
from server.webhooks.urls import refusal

AGENT = "ragpod-webhooks"
_GONE = 410
_READ = 16 << 10  # bytes of an answer: more is neither waited for nor kept
_ERROR_CHARACTERS = 300


class Sender:
    """allowed: what is not public and may be called. seconds: for all of an attempt, the name's resolution too. clock:
    Unix seconds.
    """

    def __init__(self, allowed: Allowed, seconds: float, clock: Callable[[], float]) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._clock = clock

    async def send(self, job: DeliveryJob) -> Outcome:
        """Raises nothing but what ends the task."""
        try:
            status, asked = await self._post(job)
        except aiohttp.ConnectionTimeoutError:
            return self._failed(job, None, f"no connection within {min(CONNECT_SECONDS, self._seconds):g} s")
        except TimeoutError:
            return self._failed(job, None, f"no answer within {self._seconds:g} s")
        except AddressRefused as refused:
            return self._failed(job, None, refusal(refused.where)[:_ERROR_CHARACTERS])
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
            open_session(
                self._allowed, total_seconds=self._seconds, silence_seconds=self._seconds, once=True
            ) as session,
            session.post(job.url, data=payload, headers=given, allow_redirects=False) as response,
        ):
            with suppress(aiohttp.ClientError, TimeoutError, OSError):  # its status is known
                left = _READ
                while left > 0 and (piece := await response.content.read(left)):
                    left -= len(piece)
            return response.status, _seconds(response.headers.get("retry-after"))


def _seconds(value: str | None) -> float | None:
    """Of Retry-After; a date is not understood."""
    return float(value) if value is not None and value.isascii() and value.isdecimal() and len(value) < 10 else None


def _words(error: BaseException) -> str:
    """For the webhook's owner: the cause, where one is hidden inside."""
    inside = getattr(error, "os_error", None)
    shown = str(inside or error) or type(error).__name__
    return shown[:_ERROR_CHARACTERS]
