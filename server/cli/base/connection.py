"""Which server a command talks to: the one named, the one that has the data folder open, or one of its own; `serve`."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import ModelError
from retrieval.database.lock import holder_of
from retrieval.store.base.values import StoreError
from server.access.keys import owned
from server.cli.base.client import Client
from server.cli.base.terminal import CommandError, say
from server.settings.settings import Settings, SettingsError

if TYPE_CHECKING:
    from server.app.build import Parts

START_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Where:
    """url wins over data; port is that of an own server."""

    data: Path | None = None
    url: str | None = None
    port: int = 0


def load_settings(**overrides: Any) -> Settings:
    """Raises CommandError with a line for each bad setting."""
    try:
        return Settings.load(**overrides)
    except SettingsError as error:
        raise CommandError(f"settings: {error}") from None


@asynccontextmanager
async def connected(where: Where) -> AsyncIterator[Client]:
    """Raises CommandError: bad settings, nobody at the URL, a data folder that another program holds."""
    key = os.environ.get("RAGPOD_API_KEY")
    settings = load_settings(data_dir=where.data, host="127.0.0.1", port=where.port)
    if where.url:
        async with Client.open(where.url, key, settings.default_store) as client:
            yield client
        return
    key = key or next((owned(secret.get_secret_value())[1] for secret in settings.api_keys), None)
    running = await _running_server(settings.data_dir)
    server = nullcontext(running) if running else own_server(settings)
    async with server as url, Client.open(url, key, settings.default_store) as client:
        yield client


async def _running_server(data_dir: Path) -> str | None:
    """URL of the server that has the folder open, waited for while it starts. Raises CommandError: it never listens."""
    until = time.monotonic() + START_SECONDS
    while holder := holder_of(data_dir):
        if holder.url:
            return holder.url
        if time.monotonic() > until:
            raise CommandError(f"{data_dir} is in use by process {holder.pid}, which does not serve")
        await asyncio.sleep(0.1)
    return None


@asynccontextmanager
async def own_server(settings: Settings) -> AsyncIterator[str]:
    """A server in this process, on loopback, for as long as the command runs; yields its URL. Raises CommandError."""
    from server.app.run import serving

    async with opened_parts(settings) as parts, serving(parts) as url:
        yield url


@asynccontextmanager
async def opened_parts(settings: Settings) -> AsyncIterator["Parts"]:
    """For one command, which may need no Korean. Raises CommandError: the folder is in use or newer, or weights are
    missing.
    """
    from server.app.build import open_parts

    async with AsyncExitStack() as stack:
        try:
            parts = await stack.enter_async_context(open_parts(settings, warm=False))
        except (ModelError, StoreError) as error:
            raise CommandError(str(error)) from None
        yield parts


def serve(*, engine_url: str | None, **overrides: Any) -> int:
    """`ragpod serve`; the exit code says how it ended (server/app/run.py). Raises CommandError as opened_parts does."""
    from server.app import run

    settings = load_settings(engine={"url": engine_url} if engine_url else None, **overrides)
    try:
        return run.serve(settings, on_ready=lambda url: say(f"ragpod is ready at {url}"))
    except (ModelError, StoreError) as error:
        raise CommandError(str(error)) from None
