"""Server-sent events over bare ASGI: our own framing, heartbeats as comments, early failures with their status."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import orjson
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from server.answering.events import ErrorEvent, Sources, Stage, Started
from server.answering.failures import failure_of_event
from server.answering.run import HOLD_SECONDS, PATIENCE_SECONDS, Rendered
from server.answering.running import Running
from server.http.errors import respond
from server.http.leaving import cancelled_on_disconnect

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PING = b": ping\n\n"
RETRIEVING = b": retrieving\n\n"
FIRST_BYTE_SECONDS = 2.0
E = TypeVar("E")

log = logging.getLogger("ragpod.sse")


class ReaderStalled(Exception):
    """What was sent before is not taken."""


def data(payload: Any) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def typed(name: str, payload: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(payload) + b"\n\n"


class EventStream(Response, Generic[E]):
    """Sends the frames of what `running` gives.

    Until the headers are out a failure answers with its own HTTP status. They go out with the first words of the
    answer, or `hold` seconds after the first frame, and in any case `first_byte` seconds after the beginning, with a
    comment where there is nothing else yet: no proxy waits longer, whatever an answer waits for. Then a comment comes
    with every heartbeat in which nothing else does. The client leaving cancels `running`, and so does a send for which
    there is no room within `patience` seconds, as the client takes nothing.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        running: Running[Rendered[E]],
        heartbeat: float,
        headers: Mapping[str, str] | None = None,
        hold: float = HOLD_SECONDS,
        first_byte: float = FIRST_BYTE_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.status_code, self.background, self.body = 200, None, b""
        self.init_headers({**HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._running = running
        self._heartbeat, self._hold, self._first_byte, self._patience = heartbeat, hold, first_byte, patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with cancelled_on_disconnect(self._running, receive):
                refused = await self._stream(send)
        except ReaderStalled:
            log.warning("%s: a reader took nothing for %g s, its answer is ended", scope["path"], self._patience)
            return  # the server closes the connection, in which a stream is left open
        if refused is not None:
            await respond(failure_of_event(refused), scope["path"])(scope, receive, send)

    async def _stream(self, send: Send) -> ErrorEvent | None:
        """Everything is sent, or nothing was and the failure that came first is returned."""
        held = await self._before_headers()
        if isinstance(held, ErrorEvent):
            await self._ended()
            return held
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._send(send, held)
        while (items := await self._running.next(self._heartbeat)) is not None:
            if frames := _frames(items) if items else PING:
                await self._send(send, frames)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None

    async def _send(self, send: Send, frames: bytes) -> None:
        message: Message = {"type": "http.response.body", "body": frames, "more_body": True}
        try:
            async with asyncio.timeout(self._patience):
                await send(message)
        except TimeoutError:
            raise ReaderStalled from None

    async def _before_headers(self) -> bytes | ErrorEvent:
        """The first frames, a comment where there are none in time, or the failure that came before any."""
        now, held = asyncio.get_running_loop().time, b""
        latest = now() + self._first_byte
        while (items := await self._running.next(max(latest - now(), 0.0))) is not None:
            if error := _early_failure(items):
                return error
            frames = _frames(items)
            if frames and not held:
                latest = min(latest, now() + self._hold)
            held += frames
            if not all(map(_preliminary, items)) or now() >= latest:
                break
        return held or RETRIEVING

    async def _ended(self) -> None:
        """The failed work stores and counts itself; leaving it now would make of it one that was cancelled."""
        while await self._running.next(self._heartbeat) is not None:
            pass


def _frames(items: Sequence[Rendered[E]]) -> bytes:
    return b"".join([item.frames for item in items])


def _early_failure(items: Sequence[Rendered[E]]) -> ErrorEvent | None:
    """A failure with no word of the answer before it."""
    first = next((item.event for item in items if not _preliminary(item)), None)
    return first if isinstance(first, ErrorEvent) else None


def _preliminary(item: Rendered[E]) -> bool:
    return isinstance(item.event, Started | Stage | Sources)
