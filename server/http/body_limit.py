"""Bodies: over their limit they are refused while they are read, and only so many uploads are received at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_RETRY_SECONDS = 2


class BodyLimit:
    """ASGI middleware: 413, whatever Content-Length says. request, upload: bytes; an upload is a multipart body.

    uploads: received and put away at once, so that they hold little memory together. Others wait, unread, so that TCP
    slows their senders down; 429 after so many seconds.
    """

    def __init__(self, app: ASGIApp, request: int, upload: int, uploads: int, seconds: float) -> None:
        self._app, self._request, self._upload = app, request, upload
        self._permits, self._seconds = asyncio.Semaphore(uploads), seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        multipart = any(k == b"content-type" and v.startswith(b"multipart/") for k, v in scope["headers"])
        limit = self._upload if multipart else self._request
        taken, admitted = 0, not multipart

        async def limited() -> Message:
            nonlocal taken, admitted
            if not admitted:  # here, where a refusal gets its body
                await stack.enter_async_context(self._admitted())
                admitted = True
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, f"the request body is over {limit} bytes")
            return message

        async with AsyncExitStack() as stack:
            await self._app(scope, limited, send)

    @asynccontextmanager
    async def _admitted(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                await self._permits.acquire()
        except TimeoutError:
            headers = {"Retry-After": str(_RETRY_SECONDS)}
            raise HTTPException(429, "too many files are being uploaded", headers) from None
        try:
            yield
        finally:
            self._permits.release()
