"""From published to completed: a vector store's indexes are brought up to date for all that became visible in it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from retrieval.indexes.manager import IndexManager
from retrieval.ingest.lasting import ends_task
from retrieval.ingest.leases import Leases
from retrieval.ingest.tries import passing
from retrieval.store.base.values import Attempt, NotFound
from retrieval.store.store import Store
from retrieval.threads import Threads

log = logging.getLogger("ragpod.ingest")


class Completion:
    """What waits for it stays leased. pause: seconds before indexes that could not be written are tried again.
    settled: called when versions are completed.
    """

    def __init__(
        self,
        store: Store,
        manager: IndexManager,
        leases: Leases,
        threads: Threads,
        settled: Callable[[], None],
        pause: float,
    ) -> None:
        self._store = store
        self._manager = manager
        self._leases = leases
        self._threads = threads
        self._settled = settled
        self._pause = pause
        self._published: asyncio.Queue[tuple[Attempt, str]] = asyncio.Queue()

    def add(self, attempt: Attempt, store_id: str) -> None:
        """It is published in that vector store."""
        self._published.put_nowait((attempt, store_id))

    async def run(self) -> None:
        """Until it is cancelled. One refresh of a vector store for all that was published there since the last."""
        while True:
            published = await self._next()
            try:
                for store_id, attempts in published.items():
                    await self._complete(store_id, attempts)
            except BaseException:
                for store_id, attempts in published.items():
                    self._add_again(store_id, attempts)
                raise

    async def _next(self) -> Mapping[str, Sequence[Attempt]]:
        """Everything that was added since the last call, at least one, by vector store."""
        added = [await self._published.get()]
        while not self._published.empty():
            added.append(self._published.get_nowait())
        found: dict[str, list[Attempt]] = {}
        for attempt, store_id in added:
            found.setdefault(store_id, []).append(attempt)
        return found

    async def _complete(self, store_id: str, attempts: Sequence[Attempt]) -> None:
        try:
            with suppress(NotFound):  # deleted meanwhile
                await self._threads.run(self._manager.refresh, store_id)
            await self._threads.run(self._store.publishing.complete, [attempt.version for attempt in attempts])
        except BaseException as error:
            if ends_task(error):
                raise
            # Whatever it is, the passages are safe in the store: the indexes are tried again.
            trace = None if passing(error) else error
            level = logging.ERROR if trace else logging.WARNING
            log.log(level, "the indexes of %s could not be brought up to date: %s", store_id, error, exc_info=trace)
            asyncio.get_running_loop().call_later(self._pause, self._add_again, store_id, attempts)
            return
        for attempt in attempts:
            self._leases.let_go(attempt)
        self._settled()

    def _add_again(self, store_id: str, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            self.add(attempt, store_id)
