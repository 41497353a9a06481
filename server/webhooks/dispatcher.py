"""Delivers what is due, as long as the server runs: claimed by leases, so that of several servers one is at it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.store.base.values import StoreFull, StoreUnavailable
from retrieval.store.outbox.values import DeliveryJob
from retrieval.threads import Threads
from server.webhooks.sending import Sender

if TYPE_CHECKING:  # it loads the database's library
    from retrieval.store.outbox.deliveries import Deliveries

log = logging.getLogger("ragpod.webhooks")


@dataclass(frozen=True, slots=True)
class Pace:
    """together: deliveries at once, to_one: of them to one webhook, so that one that is slow holds up no other.

    Seconds: lease, longer than an attempt, after which a server is taken for dead; poll, between two looks; patience,
    of nothing but failures, after which a webhook is disabled; leaving, for what is under way when the server ends.
    """

    together: int = 32
    to_one: int = 4
    lease: float = 60.0
    poll: float = 1.0
    patience: float = 5 * 86_400.0
    leaving: float = 2.0


class Dispatcher:
    """worker: this server's name among those that share the store, the same after a restart. clock: the store's."""

    def __init__(
        self,
        deliveries: "Deliveries",
        sender: Sender,
        clock: Callable[[], float],
        *,
        worker: str,
        pace: Pace | None = None,
    ) -> None:
        self._deliveries = deliveries
        self._sender = sender
        self._clock = clock
        self._worker = worker
        self._pace = pace or Pace()
        self._threads = Threads(2, "webhooks")
        self._woken = asyncio.Event()
        self._sending: dict[asyncio.Task[None], int] = {}  # by webhook
        self._begun = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="webhooks")

    async def aclose(self) -> None:
        """What is under way may end within a moment; the rest is free for others, or for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._sending:
            _, left = await asyncio.wait(self._sending, timeout=self._pace.leaving)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        if self._begun:
            with suppress(StoreFull, StoreUnavailable):  # then its leases run out
                await self._threads.run(self._deliveries.release_all, self._worker)
        await self._threads.aclose()

    def wake(self) -> None:
        """There may be something to deliver."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            pause = self._pace.poll
            try:
                await self._begin()
                self._woken.clear()
                if await self._claimed():
                    continue
                pause = await self._until_due()
            except (StoreFull, StoreUnavailable) as error:
                log.warning("webhooks must wait: %s", error)
            except Exception:  # whatever it is, the next round tries again
                log.exception("the webhooks failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _begin(self) -> None:
        """What this server was at when it was killed is due at once."""
        if not self._begun:
            await self._threads.run(self._deliveries.release_all, self._worker)
            self._begun = True

    async def _claimed(self) -> bool:
        """Whether there may be more."""
        if len(self._sending) >= self._pace.together:
            return False
        due = await self._threads.run(self._deliveries.next_due, self._busy())
        if due is None or due > self._clock():
            return False
        job = await self._threads.run(self._deliveries.claim, self._worker, self._pace.lease, self._busy())
        if job is None:
            return False
        task = asyncio.create_task(self._deliver(job), name=f"webhook {job.webhook_id}")
        self._sending[task] = job.webhook
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.pop(task, None)
        self.wake()

    def _busy(self) -> Collection[int]:
        """Webhooks that have as many under way as they may."""
        counts = Counter(self._sending.values())
        return [webhook for webhook, count in counts.items() if count >= self._pace.to_one]

    async def _until_due(self) -> float:
        """Seconds; others may put something up meanwhile, so no more than a few."""
        if len(self._sending) >= self._pace.together:
            return self._pace.poll
        due = await self._threads.run(self._deliveries.next_due, self._busy())
        return self._pace.poll if due is None else min(self._pace.poll, max(0.05, due - self._clock()))

    async def _deliver(self, job: DeliveryJob) -> None:
        """An outcome that cannot be written down is none: after its lease it is tried again, under the same id."""
        outcome = await self._sender.send(job)
        if outcome.error is not None:
            log.info("webhook %s, %s, attempt %d: %s", job.webhook_id, job.event_id, job.attempt, outcome.error)
        try:
            await self._threads.run(self._deliveries.finish, self._worker, job, outcome, self._pace.patience)
        except (StoreFull, StoreUnavailable) as error:
            log.warning("what became of %s cannot be written down: %s", job.event_id, error)
