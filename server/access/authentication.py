"""No key, no entry: in front of everything that reads a body."""

from typing import Annotated

from fastapi import Depends
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from server.access.keys import Keys
from server.answering.failures import Failure
from server.http.errors import respond
from server.http.health import PROBES
from server.http.provided import part

OPEN_PATHS = PROBES | {"/", "/favicon.ico"}


class Authentication:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        owner = part(scope, Keys).owner(presented_key(Headers(scope=scope)))
        if owner is None:
            message = "a valid API key is needed: `Authorization: Bearer KEY` or `x-api-key: KEY`"
            failure = Failure(401, message, "authentication_error", "invalid_api_key")
            refusal = respond(failure, scope["path"]) if scope["type"] == "http" else WebSocketClose(1008, message)
            await refusal(scope, receive, send)
            return
        scope["ragpod.owner"] = owner
        await self._app(scope, receive, send)


def presented_key(headers: Headers) -> str | None:
    """The Bearer token where there is an Authorization header, else x-api-key."""
    if "authorization" in headers:
        scheme, _, token = headers["authorization"].partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None
    return headers.get("x-api-key")


async def owner_of(request: Request) -> str:
    owner: str = request.scope["ragpod.owner"]
    return owner


Owner = Annotated[str, Depends(owner_of)]
