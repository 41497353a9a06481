"""A client that leaves ends the work that is done for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from starlette.types import Receive

from server.answering.running import Running

T = TypeVar("T")


@contextlib.asynccontextmanager
async def cancelled_on_disconnect(running: Running[T], receive: Receive) -> AsyncIterator[None]:
    """While inside, http.disconnect cancels `running`; after it, `running` has ended in any case.

    The body must have been read. Waiting on receive() notices a client that leaves while nothing is sent.
    """

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        running.cancel("disconnected")

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
        await running.close()
        await asyncio.wait([watcher])
