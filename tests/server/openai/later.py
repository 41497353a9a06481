"""Time that passes for the store at once."""

import asyncio

from tests.server.house import House


async def later(home: House, seconds: float, *, upkeep: bool = True) -> None:
    """The clock goes forward, then the upkeep runs."""
    home.clock.ahead += seconds
    if upkeep:
        await asyncio.to_thread(home.parts.library.upkeep.run)
