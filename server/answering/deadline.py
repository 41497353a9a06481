"""Time limits whose passing is a models.errors.Timeout that says what took too long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from models.errors import Timeout


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[asyncio.Timeout]:
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except TimeoutError:
        if not limit.expired():
            raise
        raise Timeout(f"{what} took longer than {seconds:g} s") from None
