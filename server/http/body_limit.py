"""A body over its limit is refused while it is read."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware: 413, whatever Content-Length says. request, upload: bytes; an upload is a multipart body."""

    def __init__(self, app: ASGIApp, request: int, upload: int) -> None:
        self._app, self._request, self._upload = app, request, upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        multipart = any(k == b"content-type" and v.startswith(b"multipart/") for k, v in scope["headers"])
        limit = self._upload if multipart else self._request
        taken = 0

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, f"the request body is over {limit} bytes")
            return message

        await self._app(scope, limited, send)
