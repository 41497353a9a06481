"""The engine's own stream of events, passed on: whole events, its end included, and exactly one [DONE]; pure."""

import re

import orjson

from models.wire.sse import SseParser
from server.answering.events import ErrorEvent
from server.answering.failures import Failure, failure_of_event
from server.answering.run import Relayed
from server.http import sse
from server.http.errors import error_body
from server.openai.chat.render import DONE

END = b""  # as of a read: the engine has sent all
BROKEN = Failure(503, "the engine broke off inside an event", "service_unavailable_error", "engine_unavailable")
# A CR at the end may be half of a CRLF: what it ends is passed on with what comes next.
_LINE_END = rb"(?:\r\n|\n|\r(?=[^\n]))"
_EVENT_END = re.compile(_LINE_END + _LINE_END)
_DONE = re.compile(rb"(?:\A|(?<=[\r\n]))data: ?\[DONE\]")


class WholeEvents:
    """Renders the engine's events, whole ones only: a heartbeat must never stand inside one.

    What it sent last may lack its blank line, [DONE] may be missing: both are put there at its END. After a [DONE], or
    an error, nothing more is shown.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._done = False

    def feed(self, event: Relayed) -> bytes:
        if self._done:
            return b""
        if isinstance(event, ErrorEvent):
            return self._failed(event)
        return self._whole(event) if event else self._ended()

    def _whole(self, chunk: bytes) -> bytes:
        received = self._rest + chunk
        end = _end(received)
        self._rest = received[end:]
        return self._until_done(received[:end])

    def _ended(self) -> bytes:
        tail = self._rest + (b"\n" if self._rest.endswith(b"\n") else b"\n\n") if self._rest else b""
        events = SseParser(len(tail) + 1).feed(tail)
        if any(map(_is_cut, events)):
            return self._failed(BROKEN.event())
        if any(b"[DONE]".startswith(event) for event in events):
            tail = DONE
        shown = self._until_done(tail)
        if not self._done:
            shown, self._done = shown + DONE, True
        return shown

    def _failed(self, error: ErrorEvent) -> bytes:
        self._done = True
        return sse.data(error_body(failure_of_event(error))) + DONE

    def _until_done(self, events: bytes) -> bytes:
        if b"[DONE]" in events and (found := _DONE.search(events)):
            self._done = True
            end = _EVENT_END.search(events, found.end())
            return events[: end.end()] if end else events
        return events


def _end(received: bytes) -> int:
    """Of the last whole event."""
    if b"\r" not in received:
        return received.rfind(b"\n\n") + 2 if b"\n\n" in received else 0
    return max((found.end() for found in _EVENT_END.finditer(received)), default=0)


def _is_cut(event: bytes) -> bool:
    """Neither [DONE], or a part of it, nor JSON."""
    if b"[DONE]".startswith(event.strip()) or event.startswith(b"[DONE]"):
        return False
    try:
        orjson.loads(event)
    except orjson.JSONDecodeError:
        return True
    return False
