"""A NUL in a request's path or query is refused before any database is asked for it: only one of them could."""

from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from server.answering.failures import Failure
from server.http.errors import respond


class NoNulInAddresses:
    """ASGI middleware: 400 that names the parameter. Bodies say it by themselves (json_body.NoNul)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        param = _holding(scope) if scope["type"] == "http" else None
        if param is None:
            await self._app(scope, receive, send)
            return
        failure = Failure(400, f"{param} must not hold a NUL character", code="nul_character", param=param)
        await respond(failure, scope["path"])(scope, receive, send)


def _holding(scope: Scope) -> str | None:
    """Which one; a name that holds it is itself the place."""
    if "\0" in scope["path"]:
        return "path"
    if b"%00" not in (query := scope["query_string"]) and b"\0" not in query:
        return None
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return next((name.replace("\0", "\\0") for name, value in pairs if "\0" in name + value), None)
