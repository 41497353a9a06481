"""API keys: who may call, and whose data the call is about."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import Depends
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from server.http.errors import Failure

DEFAULT_OWNER = "default"
OPEN_PATHS = frozenset({"/health", "/ready"})


class Keys:
    """SHA-256 digests of the accepted keys, each with its owner; no keys at all admit everyone as "default"."""

    def __init__(self, owners: Mapping[str, str]) -> None:
        """owners: key -> owner."""
        self._owners = tuple((_digest(key), owner) for key, owner in owners.items())

    @classmethod
    def of(cls, keys: Iterable[SecretStr]) -> "Keys":
        return cls({key.get_secret_value(): DEFAULT_OWNER for key in keys})

    def owner(self, key: str | None) -> str | None:
        """None: not admitted. Every digest is compared, so the time says nothing about which one came near."""
        if not self._owners:
            return DEFAULT_OWNER
        given, found = _digest(key or ""), None
        for digest, owner in self._owners:
            if hmac.compare_digest(digest, given):
                found = owner
        return found


class Authentication:
    """ASGI middleware in front of everything that reads a body: no key, no entry."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        keys: Keys = scope["app"].state.ragpod.keys
        owner = keys.owner(presented_key(Headers(scope=scope)))
        if owner is None:
            message = "a valid API key is needed: `Authorization: Bearer KEY` or `x-api-key: KEY`"
            failure = Failure(401, message, "authentication_error", "invalid_api_key")
            refusal = (
                failure.response(scope["path"]) if scope["type"] == "http" else WebSocketClose(1008, failure.message)
            )
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


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
