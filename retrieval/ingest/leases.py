"""What this process holds of the queue: claimed, renewed for as long as somebody is at it, given back.

Several processes may share the queue. One that dies gives nothing back: its leases run out, and others claim what it
had, or its next start does, at once.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from retrieval.embedders import Embedders
from retrieval.ingest.lasting import ends_task
from retrieval.ingest.pace import Pace, Pauses, rung
from retrieval.ingest.queue import IngestQueue
from retrieval.ingest.tries import passing
from retrieval.store.base.values import Attempt, IngestJob, Tried
from retrieval.threads import Threads

log = logging.getLogger("ragpod.ingest")

_SOONEST = 0.05  # seconds: a version that is due, but that another process is just claiming, is not asked for at once


class Leases:
    """Of one ingestor, on its event loop. worker: its name in the queue. clock: the queue's. shared: whether other
    processes have the queue too. embedders: whose files are claimed; None: any.
    """

    def __init__(
        self,
        queue: IngestQueue,
        threads: Threads,
        clock: Callable[[], float],
        *,
        worker: str,
        pace: Pace,
        shared: bool,
        embedders: Embedders | None = None,
    ) -> None:
        self._queue = queue
        self._threads = threads
        self._clock = clock
        self._worker = worker
        self._pace = pace
        self._shared = shared
        self._embedders = embedders
        self._pauses = Pauses(pace.first_pause)
        self._held: set[Attempt] = set()
        # To be given back: when they may be claimed again, by the loop's time, and what was in vain.
        self._owed: dict[Attempt, tuple[float, Tried | None]] = {}
        self._turns = {beside: asyncio.Lock() for beside in (False, True)}
        self._woken = asyncio.Event()
        self.unfinished = 0  # versions in progress when they were last counted

    async def begin(self) -> None:
        """What was left by this worker when it was killed is free again, at the latest when its leases have run out."""
        try:
            await self._threads.run(self._queue.release_all, self._worker, self._pace.death_pause)
            await self._count()
        except BaseException as error:
            if ends_task(error) or not passing(error):
                raise
            log.warning("what an earlier start left cannot be freed yet: %s", error)

    async def end(self) -> None:
        """Everything goes back, so that others need not wait for it. Nobody claims or works any longer."""
        try:
            await self._threads.run(self._queue.release_all, self._worker)
        except BaseException as error:  # then the leases run out
            if ends_task(error):
                raise
            log.warning("what is unfinished could not be given back: %s", error)

    def wake(self) -> None:
        """There may be something to claim."""
        self._woken.set()
        self._woken = asyncio.Event()

    async def next(self, *, beside: bool = True) -> IngestJob:
        """The next one to work at, however long it takes. It is the caller's until it is given back or let go.

        beside: of generations beside those that are found too.
        """
        while True:
            woken = self._woken  # before the look: what is put up after it is heard
            try:
                if (job := await self._claimed(beside)) is not None:
                    return job
                async with self._turns[beside]:  # one keeps watch, the others stand behind
                    await self._idle(woken, beside)
            except BaseException as error:
                if ends_task(error):
                    raise
                _tell(error)
                async with self._turns[beside]:
                    await asyncio.sleep(self._pauses.next())

    def let_go(self, attempt: Attempt) -> None:
        """It is settled, or somebody else's."""
        self._held.discard(attempt)

    def owe(self, attempt: Attempt, pause: float = 0.0, tried: Tried | None = None) -> None:
        """It is given back before anything else is claimed; anyone may claim it after so many seconds."""
        self._held.discard(attempt)
        self._owed[attempt] = asyncio.get_running_loop().time() + pause, tried
        self.wake()

    async def give_back(self, attempt: Attempt, pause: float = 0.0, tried: Tried | None = None) -> None:
        """At once; where that cannot be written down, it stays owed."""
        self.owe(attempt, pause, tried)
        try:
            await self._pay()
        except BaseException as error:
            if ends_task(error):
                raise
            log.warning("%s cannot be given back yet: %s", attempt, error)

    async def renew(self) -> None:
        """A sign of life for everything that is held. One that cannot be given is missed: a lease outlasts a few."""
        if not self._held:
            return
        try:
            await self._threads.run(self._queue.renew, self._worker, list(self._held), self._pace.lease)
            await self._count()
        except BaseException as error:
            if ends_task(error) or not passing(error):
                raise
            log.warning("what is held cannot be renewed yet: %s", error)

    async def _claimed(self, beside: bool) -> IngestJob | None:
        await self._pay()
        claim = partial(self._queue.claim, embedders=self._names(), beside=beside)
        job = await self._threads.run(claim, self._worker, self._pace.lease)
        self._pauses.begin_anew()
        if job is not None:
            self._held.add(job.attempt)
        return job

    async def _pay(self) -> None:
        for attempt, (due, tried) in list(self._owed.items()):
            pause = max(0.0, due - asyncio.get_running_loop().time())
            await self._threads.run(self._queue.release, attempt, pause, tried)
            self._owed.pop(attempt, None)

    def _names(self) -> Sequence[str] | None:
        return None if self._embedders is None else self._embedders.names

    async def _idle(self, woken: asyncio.Event, beside: bool) -> None:
        """Until it is woken, a lease or a pause ends, or, where others share the queue, it is time to look again."""
        if woken.is_set():
            return
        await self._count()
        next_due = partial(self._queue.next_due, embedders=self._names(), beside=beside)
        due = await self._threads.run(next_due, self._worker)
        waits = [] if due is None else [max(_SOONEST, due - self._clock())]
        if self._shared:
            waits.append(self._pace.poll)
        await rung(woken, min(waits, default=None))

    async def _count(self) -> None:
        self.unfinished = await self._threads.run(self._queue.unfinished)


def _tell(error: BaseException) -> None:
    if passing(error):
        log.warning("the ingest must wait: %s", error)
    else:
        log.error("nothing can be claimed", exc_info=error)
