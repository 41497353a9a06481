"""The server as a process: uvicorn on uvloop and httptools, one set of parts, signals that drain."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import uvicorn
import uvloop

from server.app.allocator import limit_arenas
from server.app.app import create_app
from server.app.build import Parts, open_parts
from server.settings.settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """Signals are the caller's: uvicorn's own handling would raise them again before the parts are closed."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM; running answers may finish first, up to `limits.drain_seconds`.

    Calls on_ready(url) once requests are taken. Raises OSError where the address is taken, and whatever
    open_parts raises.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("ragpod").setLevel(settings.log_level.upper())
    limit_arenas()
    with contextlib.suppress(asyncio.CancelledError):
        uvloop.run(_serve(settings, on_ready))


@contextlib.asynccontextmanager
async def serving(parts: Parts) -> AsyncIterator[str]:
    """A server over ready parts, in this event loop, as long as the context lasts; yields its URL."""
    ready = asyncio.Event()
    with _bound(parts.settings) as listener:
        server = _Server(_config(parts), ready.set)
        task = asyncio.create_task(server.serve([listener]))
        try:
            await _first(task, ready)
            url = _url(parts.settings, listener)
            parts.library.store.announce(url)
            yield url
        finally:
            server.should_exit = True
            await task


async def _serve(settings: Settings, on_ready: Callable[[str], None]) -> None:
    loop, opening = asyncio.get_running_loop(), asyncio.current_task()
    assert opening is not None
    for number in SIGNALS:
        loop.add_signal_handler(number, opening.cancel)
    with _bound(settings) as listener:
        async with open_parts(settings) as parts:
            url = _url(settings, listener)
            server = _Server(_config(parts), lambda: _announce(parts, url, on_ready))
            for number in SIGNALS:
                loop.add_signal_handler(number, server.handle_exit, number, None)
            await server.serve([listener])


def _announce(parts: Parts, url: str, on_ready: Callable[[str], None]) -> None:
    """Other processes learn from the data directory's lock where this one listens."""
    gc.freeze()  # what is loaded stays: a full collection over it stopped every stream for 85 ms
    parts.library.store.announce(url)
    on_ready(url)


def _config(parts: Parts) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(parts),
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(parts.settings.limits.drain_seconds),
    )


def _bound(settings: Settings) -> socket.socket:
    """Bound, not yet listening: a taken port is known before anything loads, and nobody connects too early."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {settings.host}:{settings.port}: {reason}") from None
    return listener


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
