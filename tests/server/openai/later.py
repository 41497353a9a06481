"""Time that passes for the store at once."""

import asyncio

from tests.server.house import House


async def later(home: House, seconds: float, *, upkeep: bool = True) -> None:
    """The clock goes forward, then the upkeep runs."""
    now = home.parts.library.store.clock
    home.parts.library.store.clock = lambda: now() + seconds
    if upkeep:
        await asyncio.to_thread(home.parts.library.upkeep.run)
