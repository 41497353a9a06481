"""Every HTTP request, counted."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.provided import part
from server.telemetry.metrics import Metrics


class RequestMetrics:
    """ASGI middleware; `route` is the template ("/v1/files/{file_id}"), so ids never become label values."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        metrics = part(scope, Metrics)
        metrics.in_flight.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            metrics.in_flight.dec()
            route = getattr(scope.get("route"), "path", "unknown")
            metrics.requests.labels(route, scope["method"], status or "none").inc()
