"""Turns that a dead server left running are marked so, and what was deleted leaves the disk too: the bytes of a deleted
row stay in free space and in the write-ahead log.
"""

import asyncio
import logging
import time

from retrieval.database.errors import StoreFull, StoreUnavailable
from server.records.database import RecordsDatabase
from server.records.turns import Turns

log = logging.getLogger("ragpod.upkeep")

_SECONDS = 60.0
_SHARE = 20  # scrubbing may take this part of the time: answers that end meanwhile wait to be kept


class RecordsUpkeep:
    """seconds: between two rounds."""

    def __init__(self, database: RecordsDatabase, turns: Turns, seconds: float = _SECONDS) -> None:
        self._database, self._turns, self._seconds = database, turns, seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._rounds(), name="upkeep of the records")

    async def aclose(self) -> None:
        """A scrub that has begun goes on in the database's thread, whose closing waits for it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self) -> None:
        """One round."""
        await self._turns.interrupt()
        if await self._database.leftovers_due() and not await self._database.scrub():
            log.info("another process reads the records: deleted bytes are removed in the next round")

    async def _rounds(self) -> None:
        pause = self._seconds
        while True:
            await asyncio.sleep(pause)
            since = time.monotonic()
            try:
                await self.run()
            except (StoreFull, StoreUnavailable) as error:
                log.warning("the upkeep of the records must wait: %s", error)
            except Exception:  # whatever it is, the next round tries again
                log.exception("the upkeep of the records failed")
            pause = max(self._seconds, _SHARE * (time.monotonic() - since))
