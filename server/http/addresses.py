"""How a request may be written: HEAD where GET is known, and a slash too many at the end.

Both are answered as what is meant. FastAPI's own redirect of a slash names a host and a scheme, which behind a proxy
are not those that the caller sees; and it has no HEAD, which is what monitors send.
"""

from starlette.types import ASGIApp, Receive, Scope, Send


class Addresses:
    """ASGI middleware, in front of all that looks at a path. The server leaves out the body of an answer to HEAD."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(meant(scope) if scope["type"] == "http" else scope, receive, send)


def meant(scope: Scope) -> Scope:
    """A copy where it differs: the server's own scope must go on saying HEAD."""
    method, path = scope["method"], scope["path"]
    if method != "HEAD" and (not path.endswith("/") or path == "/"):
        return scope
    shorter = {"path": path.rstrip("/") or "/"}
    if scope.get("raw_path"):
        shorter["raw_path"] = scope["raw_path"].rstrip(b"/") or b"/"
    return {**scope, **shorter, "method": "GET" if method == "HEAD" else method}
