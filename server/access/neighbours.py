"""Whose pages may call: the host that a request names, and the page that it comes from.

A key keeps strangers out. Without one, the browser of whoever runs the server stands in front of it: a page of any site
can send it a form, and by a DNS name that comes to mean 127.0.0.1 (rebinding) read what it answers. Both say so in
headers that no page can forge.
"""

from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from server.access.keys import Keys
from server.answering.failures import Failure
from server.http.errors import respond
from server.http.health import PROBES
from server.http.provided import part

ANY = "*"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Neighbours:
    """ASGI middleware: 403 before anything is read. hosts: names without a port, besides this machine's own; none: any
    where there are keys. origins: as of CORS. is_local: whether a name or an address is this machine's own.
    """

    def __init__(
        self, app: ASGIApp, hosts: Iterable[str], origins: Iterable[str], is_local: Callable[[str], bool]
    ) -> None:
        self._app, self._is_local = app, is_local
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure = None if scope["type"] == "lifespan" else self._refusal(scope)
        if failure is None:
            await self._app(scope, receive, send)
            return
        is_http = scope["type"] == "http"
        refusal = respond(failure, scope["path"]) if is_http else WebSocketClose(1008, failure.message)
        await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> Failure | None:
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if scope["path"] not in PROBES and not all(self._is_ours(host, scope) for host in hosts):
            message = "this server does not answer under that host name: RAGPOD_ALLOWED_HOSTS has those that it does"
            return Failure(403, message, code="host_not_allowed")
        reads = scope.get("method") in _READING
        if not reads and not all(self._may_write(origin, hosts) for origin in origins):
            message = "a page of that origin may change nothing here: RAGPOD_CORS_ORIGINS has those that may"
            return Failure(403, message, code="origin_not_allowed")
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        if ANY in self._hosts or (not self._hosts and not part(scope, Keys).admits_everyone):
            return True
        name = _name(host)
        return name in self._hosts or (name is not None and self._is_local(name))

    def _may_write(self, origin: str, hosts: Sequence[str]) -> bool:
        """Where nothing says otherwise, a page of this server's own."""
        return ANY in self._origins or origin in self._origins or urlsplit(origin).netloc in hosts


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip().lower() for key, value in scope["headers"] if key == name]


def _name(host: str) -> str | None:
    """Without port and brackets; None of what is no host."""
    try:
        parts = urlsplit(f"//{host}")
        return None if parts.username is not None or parts.path or parts.query else parts.hostname
    except ValueError:
        return None
