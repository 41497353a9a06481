"""Vector stores are made anew in the background when the settings want another embedder or other passages.

What is found stays as it is until the new generation has all of it; then it is switched, in one transaction. Files are
put up for the ingestor, and go its way. Several servers may do this for one database.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from retrieval.embedders import Embedders
from retrieval.ingest.lasting import lasting
from retrieval.store.base.values import EmbedderMismatch, NotFound, StoreFull, StoreUnavailable
from retrieval.store.generations.values import Recipe, Switched
from retrieval.store.store import Store
from retrieval.threads import Threads

if TYPE_CHECKING:  # it loads heavy libraries
    from retrieval.indexes.manager import IndexManager

log = logging.getLogger("ragpod.generations")

_SECONDS, _WAIT = 1.0, 5.0
_DROP_SECONDS = 3600.0
_HELP = "the next start tries them again, `ragpod index switch --anyway` does without them"


class Regeneration:
    """recipe: of the settings. take_up: wakes the ingestor. alone: no other server has the database. kept_seconds: how
    long a generation that is no longer found is kept. seconds: between two looks.
    """

    def __init__(
        self,
        store: Store,
        manager: "IndexManager",
        embedders: Embedders,
        recipe: Recipe,
        take_up: Callable[[], None],
        *,
        alone: bool,
        kept_seconds: float,
        seconds: float = _SECONDS,
    ) -> None:
        self._store = store
        self._manager = manager
        self._embedders = embedders
        self._recipe = recipe
        self._take_up = take_up
        self._alone = alone
        self._kept_seconds = kept_seconds
        self._seconds = seconds
        self._threads = Threads(2, "generations")
        self._task: asyncio.Task[None] | None = None
        self._told: set[str] = set()
        self._drop_from = 0.0  # monotonic
        self.building = 0  # vector stores that are being made anew, at the last look
        self.unsearched: tuple[str, ...] = ()  # embedders whose vectors are found, and cannot be searched here

    async def begin(self) -> None:
        """Before anything is ingested or searched: what is found has its embedder, where that can be loaded."""
        await self._threads.run(self._begin)

    def start(self) -> None:
        self._task = asyncio.create_task(lasting(self._look, pause=self._seconds), name="generations")

    async def aclose(self) -> None:
        """What it is at is finished."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._threads.aclose()

    async def switch(self, owner: str, index_id: str, *, anyway: bool = False) -> Switched:
        """To what was found before: at once, files that came since are found when they are ingested. To one that is
        being built: where it shows everything that is found now, or anyway. Raises NotFound.
        """
        switched = await self._threads.run(self._switch, owner, index_id, anyway)
        self._take_up()
        return switched

    async def drop(self, owner: str, index_id: str) -> None:
        """Its passages, vectors and indexes; what is found stays. Raises NotFound."""
        await self._threads.run(self._store.generations.drop, owner, index_id)
        await self._threads.run(self._manager.forget, index_id)

    def degraded(self) -> list[str]:
        """In words, without names."""
        words = "embedder: not loaded for what some vector stores hold, which are searched by words alone"
        anew = f"generations: vector stores being made anew for other settings, and found as they were: {self.building}"
        return [*([words] if self.unsearched else []), *([anew] if self.building else [])]

    def _begin(self) -> None:
        try:
            self._store.generations.begin(self._recipe, alone=self._alone)
        except StoreFull as error:
            log.warning("vector stores of other settings stay as they are until the next start: %s", error)
        self._tend_embedders()

    def _switch(self, owner: str, index_id: str, anyway: bool) -> Switched:
        named = {each.index_id: each for each in self._store.generations.of(owner)}
        wanted = named.get(index_id)
        if wanted is None or wanted.state == "found" or wanted.recipe is None:
            raise NotFound(f"no generation {index_id!r} that could be switched to")
        self._embedders.need([wanted.recipe.space.embedder])
        with suppress(EmbedderMismatch):
            self._manager.refresh(index_id)
        back = not wanted.recipe.matches(self._recipe)
        whole = wanted.state == "building" and not anyway
        done = self._store.generations.switch(index_id, whole=whole, refuse=back)
        if done == "switched":
            log.warning("vector store %s was switched to %s", wanted.store_id, wanted.recipe)
        return done

    async def _look(self) -> None:
        try:
            if await self._threads.run(self._round):
                self._take_up()
        except (StoreFull, StoreUnavailable) as error:
            log.warning("making vector stores anew must wait: %s", error)
            await asyncio.sleep(_WAIT)

    def _round(self) -> bool:
        """Whether something is being built."""
        building = self._store.generations.building()
        for index_id in building:
            with suppress(NotFound):  # it was dropped, or its vector store deleted
                self._further(index_id)
        self.building = len(self._store.generations.building()) if building else 0
        self._tend_embedders()
        if time.monotonic() >= self._drop_from:
            for index_id in self._store.generations.drop_ended(int(self._store.clock() - self._kept_seconds)):
                log.info("generation %s has been kept for its time, and is dropped", index_id)
                self._manager.forget(index_id)
            self._drop_from = time.monotonic() + min(_DROP_SECONDS, max(self._kept_seconds, self._seconds))
        return bool(building)

    def _further(self, index_id: str) -> None:
        self._store.generations.fill(index_id)
        lacks = self._store.generations.lacking(index_id)
        self._manager.refresh(index_id)  # so that the first search after the switch finds them open
        if lacks is None or lacks[0] > lacks[1]:
            return
        switched = self._store.generations.switch(index_id)
        if switched == "switched":
            log.warning("generation %s has everything, and is found from now on: %s", index_id, self._recipe)
        elif switched == "failed" and index_id not in self._told:
            self._told.add(index_id)
            log.error("generation %s is not switched to, %d files that are found failed: %s", index_id, lacks[1], _HELP)

    def _tend_embedders(self) -> None:
        names = self._store.generations.spaces()
        self._embedders.need(names)
        self.unsearched = tuple(name for name in names if self._embedders.get(name) is None)
