"""Admission and size limits: saying no early, before any model works."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.errors import ApiError, Failure
from server.settings.sections import LimitSettings


class Admission:
    """At most `answers` at once; `queue` more may wait `seconds` each, in order of arrival."""

    def __init__(self, answers: int, queue: int, seconds: float) -> None:
        self._permits = asyncio.Semaphore(answers)
        self._queue, self._seconds = queue, seconds
        self.running = 0
        self.waiting = 0

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[None]:
        """Raises ApiError 429 where the queue is full, 503 where the wait was too long."""
        await self._permit()
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._permits.release()

    async def _permit(self) -> None:
        if self._permits.locked() and self.waiting >= self._queue:
            raise ApiError(Failure(429, "too many answers are waiting", "rate_limit_error", "queue_full", None, 2))
        self.waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._permits.acquire()
        except TimeoutError:
            message = f"no answer slot came free within {self._seconds:g} s"
            raise ApiError(Failure(503, message, "overloaded_error", "queue_timeout", None, 5)) from None
        finally:
            self.waiting -= 1


class BodyLimit:
    """ASGI middleware: a body over the limit answers 413 while it is read, whatever Content-Length says."""

    def __init__(self, app: ASGIApp, limits: LimitSettings) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        multipart = any(k == b"content-type" and v.startswith(b"multipart/") for k, v in scope["headers"])
        limit = self._limits.upload_bytes if multipart else self._limits.request_bytes
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, f"the request body is over {limit} bytes")
            return message

        await self._app(scope, limited, send)
