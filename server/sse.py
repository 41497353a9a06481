"""Server-sent events over bare ASGI: our own framing, heartbeats as comments, early failures with their status."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.cancellation import Running, cancelled_on_disconnect
from server.errors import failure_of_event
from server.events import ErrorEvent, Sources, Stage, Started

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PING = b": ping\n\n"
HOLD_SECONDS = 0.1
T = TypeVar("T")


def data(payload: Any) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def typed(name: str, payload: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(payload) + b"\n\n"


class EventStream(Response, Generic[T]):
    """Sends what `render` makes of the events of `running`.

    Headers go out with the first words of the answer, or `hold` seconds after the first frame, or with the first
    heartbeat: until then a failure still answers with its own HTTP status. The client leaving cancels `running`.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        running: Running[T],
        render: Callable[[Sequence[T]], bytes],
        heartbeat: float,
        headers: Mapping[str, str] | None = None,
        hold: float = HOLD_SECONDS,
    ) -> None:
        self.status_code, self.background, self.body = 200, None, b""
        self.init_headers({**HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._running, self._render = running, render
        self._heartbeat, self._hold = heartbeat, hold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with cancelled_on_disconnect(self._running, receive):
            refused = await self._stream(send)
        if refused is not None:
            await failure_of_event(refused).response(scope["path"])(scope, receive, send)

    async def _stream(self, send: Send) -> ErrorEvent | None:
        """Everything is sent, or nothing was and the failure that came first is returned."""
        started, held = False, b""
        while (items := await self._running.next(self._hold if held else self._heartbeat)) is not None:
            if not started and (error := _early_failure(items)):
                await self._ended()
                return error
            held = (held + self._render(items)) if items else held or PING
            if not held or (not started and items and all(map(_preliminary, items))):
                continue
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                started = True
            await send({"type": "http.response.body", "body": held, "more_body": True})
            held = b""
        if started:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None

    async def _ended(self) -> None:
        """The failed work stores and counts itself; leaving it now would make of it one that was cancelled."""
        while await self._running.next(self._heartbeat) is not None:
            pass


def _early_failure(items: Sequence[object]) -> ErrorEvent | None:
    """A failure with no word of the answer before it."""
    first = next((item for item in items if not _preliminary(item)), None)
    return first if isinstance(first, ErrorEvent) else None


def _preliminary(item: object) -> bool:
    return isinstance(item, Started | Stage | Sources)
