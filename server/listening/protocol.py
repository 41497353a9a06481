"""uvicorn's HTTP/1.1 on httptools, with limits that count while bytes arrive.

uvicorn's own httptools protocol has none for a head and no deadline but that of an idle connection, and httptools joins
the pieces of an unfinished header anew with every read: one of 100 MB held the event loop up for seconds
(benchmarks/abuse.py).
"""

import asyncio
from enum import Enum
from math import inf
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from server.answering.failures import Failure
from server.http.health import PROBES
from server.listening.connections import Connections
from server.listening.refusals import CUT, FULL, HEADERS_TOO_LARGE, MALFORMED, TOO_LATE, refusal

_PROBES = frozenset(path.encode() for path in PROBES)
BODY_RATE = 8 << 10  # bytes a second that a body must come at on the whole: one byte every 29 s is no upload
SLACK = 1024  # bytes of a head that are neither URL nor header: the method, the version, blanks
FRAMING = 16  # bytes of chunk sizes for one of a body, at most
LINGER_SECONDS = 2.0  # a close before all was read resets the connection, and the refusal with it
LINGER_BYTES = 1 << 20


class Stage(Enum):
    """What is being received. REFUSED: nothing any more."""

    IDLE = 1
    HEAD = 2
    BODY = 3
    REFUSED = 4


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `places.sweep` must be called often, by whoever serves."""

    def __init__(
        self,
        places: Connections,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.address = ""
        self._places, self._limits = places, places.limits
        self._stage = Stage.IDLE
        self._objection: Failure | None = None
        self._since = self.loop.time()  # of the stage; of a response's end where it is idle
        self._deadline = inf
        self._begun = 0  # heads that the bytes at hand have begun
        self._head = self._body = self._framing = self._discarded = 0  # bytes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._deadline = self.loop.time() + self._limits.header_seconds
        self._places.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._places.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._stage is Stage.REFUSED or self.transport.is_closing():
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        stage, body, self._begun = self._stage, self._body, 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # it is not offered: the request is answered as any other
        except httptools.HttpParserError:
            self._refuse(self._objection or MALFORMED)
            return
        self._count(stage, len(data), self._body - body)

    def _count(self, stage: Stage, size: int, body: int) -> None:
        """stage: before these `size` bytes, of which `body` are a body's."""
        now = self.loop.time()
        if self._stage is Stage.HEAD:
            from_start = stage is Stage.IDLE and self._begun == 1
            self._head = self._head + size if stage is Stage.HEAD and not self._begun else size * from_start
            if self._head > self._limits.header_bytes + SLACK or len(self.headers) > self._limits.header_lines:
                self._refuse(HEADERS_TOO_LARGE)
        elif self._stage is Stage.BODY:
            if stage is Stage.BODY and not self._begun:
                self._framing += size - body
            self._go_on(now)
        elif not self._begun and not self._busy:  # blank lines before a request
            self._deadline = min(self._deadline, now + self._limits.header_seconds)

    def _go_on(self, now: float) -> None:
        """A body that comes gets more time, unless it is an answered one's rest."""
        if self._framing > self._limits.header_bytes + FRAMING * self._body:  # trailers, extensions of chunks
            self._refuse(HEADERS_TOO_LARGE)
        elif self._busy:
            patience = self._limits.body_seconds
            self._deadline = min(now, self._since + self._body / BODY_RATE) + patience
        elif self._body > self._limits.body_bytes:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun += 1
        self._enter(Stage.HEAD, self._limits.header_seconds)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._limits.header_bytes or len(self.headers) > self._limits.header_lines:
            self._object(HEADERS_TOO_LARGE)
        admitted = self._places.admits(self)
        if not admitted and self.url.partition(b"?")[0].rstrip(b"/") not in _PROBES:
            self._object(FULL)
        super().on_headers_complete()
        if not admitted:
            self.cycle.keep_alive = False
        self._body = self._framing = 0
        self._enter(Stage.BODY, self._limits.body_seconds)

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._enter(Stage.IDLE, inf if self._busy else self._limits.idle_seconds)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._busy and self._stage is not Stage.REFUSED:
            idle = self._stage is Stage.IDLE
            self._enter(self._stage, self._limits.idle_seconds if idle else self._limits.header_seconds)

    def idle_since(self) -> float | None:
        waiting = self._stage is Stage.REFUSED or (self._stage is Stage.IDLE and not self._busy)
        return self._since if waiting else None

    @property
    def served(self) -> bool:
        return self._busy and self._stage is not Stage.REFUSED

    def check(self, now: float) -> None:
        if self._stage is Stage.BODY and self.flow.read_paused:  # it is the server that does not read
            self._since, self._deadline = now - self._body / BODY_RATE, now + self._limits.body_seconds
        elif now >= self._deadline and not self.transport.is_closing():
            self._late(now)

    def _late(self, now: float) -> None:
        if self._stage is Stage.HEAD and self._busy:  # a pipelined one, whose turn has not come
            self._deadline = now + self._limits.header_seconds
        elif self._stage in (Stage.IDLE, Stage.REFUSED) or (self._stage is Stage.BODY and not self._busy):
            self.transport.close()
        else:
            self._refuse(TOO_LATE)

    def drop(self) -> None:
        self.transport.abort()

    def cut(self) -> None:
        """The server ends: who has no word of an answer is told so, as one whole response."""
        if self._busy and not self.cycle.response_started:
            self._refuse(CUT)
            self.transport.close()
        else:
            self.transport.abort()

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _enter(self, stage: Stage, seconds: float) -> None:
        self._stage, self._since = stage, self.loop.time()
        self._deadline = self._since + seconds

    def _object(self, failure: Failure) -> None:
        """From within the parser, which stops."""
        self._objection = failure
        raise ValueError(failure.message)

    def _refuse(self, failure: Failure) -> None:
        """Says so, and reads on for a moment."""
        answering = self._busy
        self._enter(Stage.REFUSED, LINGER_SECONDS)
        if answering and self.cycle.response_started:
            self.transport.close()  # no response fits into another
            return
        self.transport.write(refusal(failure))
        self.transport.write_eof()
        if answering:  # as if it had left
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_reading()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self.transport.close()
