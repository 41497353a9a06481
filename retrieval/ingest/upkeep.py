"""What happens without being asked: uses are written down, what has expired goes, and what was deleted goes from the
disk too.

Deleting takes rows, passages, vectors and postings out of every search at once. Their bytes may stay for a while: in
the database's free space and write-ahead log, in BM25's segments that tantivy has not merged, in the saved vectors.
`run` leaves none of them in any file of the data directory.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from retrieval.indexes.manager import IndexManager
from retrieval.ingest.lasting import ends_task
from retrieval.store.base.values import LIVE_SECONDS, StoreFull, StoreUnavailable
from retrieval.store.store import Store
from retrieval.threads import Threads

log = logging.getLogger("ragpod.upkeep")

_SECONDS = 60.0
_SIGNS = 48  # of life, in the time after which this data folder's indexes would be taken for dead
_SHARE = 20  # scrubbing may take this part of the time: a large database is rewritten more rarely


class Upkeep:
    """seconds: between two rounds at most."""

    def __init__(self, store: Store, manager: IndexManager, seconds: float = _SECONDS) -> None:
        self._store = store
        self._manager = manager
        self._seconds = seconds
        self._scrub_from = self._alive_until = 0.0  # monotonic
        self._threads = Threads(1, "upkeep")  # a round may take minutes
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._rounds(), name="upkeep")

    async def aclose(self) -> None:
        """A round that has begun is finished."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._threads.aclose()

    def run(self) -> None:
        """One whole round. Blocking."""
        self._tend()
        if self._store.retention.leftovers_due():
            self._scrub()

    def _tend(self) -> None:
        retention = self._store.retention
        retention.write_uses()
        retention.expire()
        retention.sweep_blobs()
        self._store.deliveries.announce()
        self._store.deliveries.prune()
        if time.monotonic() >= self._alive_until:
            self._store.changes.stay_alive()
            self._alive_until = time.monotonic() + LIVE_SECONDS / _SIGNS

    def _scrub(self) -> None:
        since = time.monotonic()
        if not self._store.retention.scrub(self._manager.scrub):
            log.info("a long read holds the write-ahead log: deleted bytes are removed in the next round")
        self._scrub_from = time.monotonic() + _SHARE * (time.monotonic() - since)

    def _round(self) -> None:
        self._tend()
        if time.monotonic() >= self._scrub_from and self._store.retention.leftovers_due():
            self._scrub()

    async def _rounds(self) -> None:
        while True:
            pause = self._seconds
            try:
                pause = await self._store.reads.run(self._pause)
                await asyncio.sleep(pause)
                await _finished(self._threads.run(self._round))
            except BaseException as error:  # whatever it is, the next round tries again
                if ends_task(error):
                    raise
                if isinstance(error, StoreFull | StoreUnavailable):
                    log.warning("the upkeep must wait: %s", error)
                else:
                    log.exception("the upkeep failed")
                await asyncio.sleep(pause)

    def _pause(self) -> float:
        """To the next expiry, at least a second."""
        due = self._store.retention.next_expiry()
        return self._seconds if due is None else min(self._seconds, max(1.0, due - self._store.clock()))


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Waits for a thread also where the waiting is cancelled."""
    running = asyncio.create_task(work)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
