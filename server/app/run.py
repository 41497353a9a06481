"""The server as a process: uvicorn on uvloop and httptools, one set of parts, signals that drain."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from enum import IntEnum
from functools import partial
from ipaddress import ip_network
from math import ceil
from typing import cast

import uvicorn
import uvloop

from server.app.allocator import limit_arenas
from server.app.app import create_app
from server.app.build import Parts, open_parts
from server.app.logs import log_in_lines
from server.listening.connections import RESERVED, ConnectionLimits, Connections
from server.listening.descriptors import room_for
from server.listening.protocol import GuardedProtocol
from server.listening.server import DrainingServer, EndingQuietly
from server.settings.settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM)
FORCED_SECONDS = 3.0
DESCRIPTORS = 64  # kept for databases, indexes, engines and whatever a library opens


class Ending(IntEnum):
    """The exit code of a server that a signal ended."""

    DRAINED = 0  # whatever ran had its end
    CUT = 4  # the grace was over first: answers were ended, and told so
    FORCED = 5  # a second signal, while requests ran or because something hung


class _Signals:
    """The first one asks, a second one insists: the process is gone FORCED_SECONDS later, whatever hangs."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self.ask = ask
        self.insist: Callable[[], object] = lambda: None
        self._asked = self.insisted = False

    def __call__(self) -> None:
        if not self._asked:
            self._asked = True
            self.ask()
        elif not self.insisted:
            self.insisted = True
            timer = threading.Timer(FORCED_SECONDS, os._exit, (Ending.FORCED,))
            timer.daemon = True
            timer.start()
            self.insist()


def serve(settings: Settings, on_ready: Callable[[str], None]) -> Ending:
    """Serves until SIGINT or SIGTERM; running answers may finish first, up to `limits.drain_seconds`, or until the next
    signal.

    Calls on_ready(url) once requests are taken. Raises OSError where the address is taken or there
    are too few file descriptors, and whatever open_parts raises.
    """
    log_in_lines()
    logging.getLogger("ragpod").setLevel(settings.log_level.upper())
    limit_arenas()
    with contextlib.suppress(asyncio.CancelledError):
        return uvloop.run(_serve(settings, on_ready))
    return Ending.DRAINED  # before anything was served


@contextlib.asynccontextmanager
async def serving(parts: Parts) -> AsyncIterator[str]:
    """A server over ready parts, in this event loop, as long as the context lasts; yields its URL."""
    ready = asyncio.Event()
    with _bound(parts.settings) as listener:
        server = _server(parts, ready.set)
        task = asyncio.create_task(server.serve([listener]))
        try:
            await _first(task, ready)
            url = _url(parts.settings, listener)
            parts.library.store.announce(url)
            yield url
        finally:
            server.should_exit = True
            await task


async def _serve(settings: Settings, on_ready: Callable[[str], None]) -> Ending:
    loop, opening = asyncio.get_running_loop(), asyncio.current_task()
    assert opening is not None
    signals = _Signals(opening.cancel)
    for number in SIGNALS:
        loop.add_signal_handler(number, signals)
    with _bound(settings) as listener:
        async with open_parts(settings) as parts:
            url = _url(settings, listener)
            server = _server(parts, lambda: _announce(parts, url, on_ready))
            signals.ask, signals.insist = partial(setattr, server, "should_exit", True), server.insist
            await server.serve([listener])
            # Of the requests: a signal that comes while the parts are closed changes nothing for them.
            ending = Ending.FORCED if signals.insisted else Ending.CUT if server.cut else Ending.DRAINED
    return ending


def _announce(parts: Parts, url: str, on_ready: Callable[[str], None]) -> None:
    """Other processes learn from the data directory's lock where this one listens."""
    gc.freeze()  # what is loaded stays: a full collection over it stopped every stream for 85 ms
    parts.library.store.announce(url)
    on_ready(url)


def _server(parts: Parts, on_ready: Callable[[], None]) -> DrainingServer:
    """Of parts that are open: what they hold of the descriptors is no connection's."""
    limits = parts.settings.limits
    kept = DESCRIPTORS + limits.answers + limits.uploads + RESERVED
    places = Connections(
        ConnectionLimits(
            header_bytes=limits.header_bytes,
            header_lines=limits.header_lines,
            header_seconds=limits.header_seconds,
            body_seconds=limits.body_seconds,
            body_bytes=max(limits.upload_bytes, limits.request_bytes),
            idle_seconds=limits.idle_seconds,
            connections=room_for(limits.connections, kept),
            of_address=limits.address_connections,
            exempt=tuple(map(ip_network, limits.address_exempt)),
        )
    )
    app = EndingQuietly(create_app(parts))
    config = uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], partial(GuardedProtocol, places)),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=ceil(limits.idle_seconds),
    )
    return DrainingServer(config, app, places, parts.runs.aclose, limits.drain_seconds, on_ready)


def _bound(settings: Settings) -> socket.socket:
    """Bound, not yet listening: a taken port is known before anything loads, and nobody connects too early."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _end_stalled(listener, settings.limits.reader_seconds)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {settings.host}:{settings.port}: {reason}") from None
    return listener


def _end_stalled(listener: socket.socket, seconds: float) -> None:
    """Connections whose peer takes nothing for so long are reset by the kernel where it can (Linux, tcp(7)): closing
    them would wait for what they still hold to be taken.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))


def _url(settings: Settings, listener: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}"


async def _first(task: asyncio.Task[None], ready: asyncio.Event) -> None:
    """Until ready; raises what ended the server before that."""
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        await task
        raise RuntimeError("the server ended before it was ready")
