"""uvicorn's server, ended by its caller: running requests may finish, and at the end of that grace each is told."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from server.listening.connections import Connections
from server.listening.protocol import GuardedProtocol

LAST_WORDS_SECONDS = 1.0
RECORDS_SECONDS = 5.0  # for what is kept of the answers that are cut: a database may hang
POLL_SECONDS = 0.01


class EndingQuietly:
    """ASGI: a request that the server's end cancels is no error, its client has been told by then."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self.ending = app, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self.ending:
                raise


class DrainingServer(uvicorn.Server):
    """Signals are the caller's: uvicorn's own handling would raise them again before the parts are closed.

    end_answers: ends those that run, each with its last event. grace: seconds that requests may still take once
    `should_exit` is set; `insist` ends it at once. cut: whether any request had to be ended.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        app: EndingQuietly,
        places: Connections,
        end_answers: Callable[[], Awaitable[None]],
        grace: float,
        on_ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._app, self._places, self._end_answers = app, places, end_answers
        self._grace, self._on_ready = grace, on_ready
        self._insisted = self.cut = False

    def insist(self) -> None:
        self._insisted = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        self._places.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._quiet(self._grace, lambda: self._insisted):
            self.cut = True
            await self._cut_requests()
        await self.lifespan.shutdown()

    async def _cut_requests(self) -> None:
        """Answers end with their own last events; whoever waits for anything else is refused."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECORDS_SECONDS):
                await self._end_answers()
        if await self._quiet(LAST_WORDS_SECONDS):
            return
        for connection in list(self.server_state.connections):
            cast(GuardedProtocol, connection).cut()
        await asyncio.sleep(0)  # uvicorn learns of closed connections in the next turn of the loop
        self._app.ending = True
        for task in list(self.server_state.tasks):
            task.cancel()
        await self._quiet(LAST_WORDS_SECONDS)

    async def _quiet(self, within: float, hurried: Callable[[], bool] = lambda: False) -> bool:
        """True once nothing is connected and nothing runs; False where that takes too long."""
        loop, state = asyncio.get_running_loop(), self.server_state
        latest = loop.time() + within
        while state.connections or state.tasks:
            self._places.sweep(loop.time())
            if hurried() or loop.time() >= latest:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True
