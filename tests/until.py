"""A poll with its deadline."""

import asyncio
from collections.abc import Awaitable, Callable

# Where the contract is a second, a real engine's work must have ended within this long: a busy machine may stall. Left
# alone that work would go on for longer, so nothing is taken for freed that is not.
SOON = 15.0
# For whatever comes true in the end or never does: only a failing test waits it out.
PATIENCE = 120.0


async def until(condition: Callable[[], bool | Awaitable[bool]], within: float) -> None:
    """Raises TimeoutError where `condition` does not come true within that many seconds."""
    async with asyncio.timeout(within):
        while True:
            value = condition()
            if value if isinstance(value, bool) else await value:
                return
            await asyncio.sleep(0.005)
