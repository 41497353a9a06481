"""Files on their way to being found: accepted -> parsed -> chunked -> embedded -> indexed, or failed, or cancelled.

The queue is the store's own rows, each leased by whoever works at it, so what was accepted goes on after a crash, here
or in another process, from the last step that is on disk: embedding is done once for each passage. Blocking steps run
in the ingestor's threads; the event loop never waits.
"""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from models.base import Embedder
from retrieval.embedders import Embedders
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.completion import Completion
from retrieval.ingest.lasting import ends_task, lasting
from retrieval.ingest.leases import Leases
from retrieval.ingest.pace import Pace, rung
from retrieval.ingest.scans import Scans
from retrieval.ingest.steps import Steps
from retrieval.ingest.tries import deadly, gives_up, passing, tried_by, verdict
from retrieval.passages.tokenize import Tokenizer
from retrieval.privacy import Kind
from retrieval.sandbox.in_threads import InThreads
from retrieval.sandbox.pool import Crowded, Parser
from retrieval.store.base.values import IngestJob, StoreFile, Superseded
from retrieval.store.store import Store
from retrieval.threads import Threads
from retrieval.types import Attributes, Chunking

log = logging.getLogger("ragpod.ingest")

_BACKGROUND = 4  # of so many workers one builds generations too


class Ingestor:
    """Works through the store's unfinished files, a few at a time.

    workers: files worked on at once; the embedder runs one call at a time anyway, and parsing and disk overlap with it.
    name: of this ingestor among those that share the store's database, which `shared` says: the same after a restart,
    and nobody else's. Two of one name only undo each other's leases. masked: kinds of personal data, not stored.
    parser: closed with this; None: files are parsed in this process. recognised: folder for the pages of a scan that
    are recognised, until the whole file is; None: they are not kept. embedders: that this process has, for vector
    stores of others than `embedder` too; files of all others wait for a process that has theirs. None: they fail.

    One worker in four, one at least, takes files of generations that are built in the background too, in turn with all
    others; so whatever is built, the other workers are there for what is uploaded.

    Nothing that is raised ends it, and no file stays with a worker that has died.
    """

    def __init__(
        self,
        store: Store,
        manager: IndexManager,
        embedder: Embedder,
        tokenizer: Tokenizer,
        *,
        workers: int = 4,
        name: str = "ingestor",
        shared: bool = False,
        pace: Pace | None = None,
        masked: Sequence[Kind] = (),
        parser: Parser | None = None,
        recognised: Path | None = None,
        embedders: Embedders | None = None,
    ) -> None:
        self._store = store
        self._parser = parser or InThreads(workers)
        self._workers = workers
        self._pace = pace or Pace()
        self._threads = Threads(workers + 2, "ingest")  # one for each of the tasks
        self._scans = Scans(recognised, self._threads, store.queue.in_progress)
        known = embedders or Embedders(embedder)
        self._steps = Steps(store, known, tokenizer, self._threads, self._parser, self._scans, masked)
        self._leases = Leases(
            *(store.queue, self._threads, store.clock),
            worker=name,
            pace=self._pace,
            shared=shared,
            embedders=embedders,
        )
        self._completion = Completion(
            store, manager, self._leases, self._threads, self._settled, self._pace.index_pause
        )
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Takes up everything that is unfinished and nobody else's, and then what is submitted."""
        await self._leases.begin()
        behind = max(1, self._workers // _BACKGROUND)
        works = [partial(self._work, beside=i < behind) for i in range(self._workers)]
        self._tasks = [asyncio.create_task(lasting(work), name=f"ingest-{i}") for i, work in enumerate(works)]
        self._tasks.append(asyncio.create_task(lasting(self._completion.run), name="ingest-index"))
        renewing = lasting(self._leases.renew, pause=self._pace.renewal)
        self._tasks.append(asyncio.create_task(renewing, name="ingest-leases"))
        sweeping = lasting(self._scans.sweep, pause=self._pace.renewal)
        self._tasks.append(asyncio.create_task(sweeping, name="ingest-scans"))

    async def aclose(self) -> None:
        """Stops after the steps that are running; the rest is free for others, or for the next start."""
        self._steps.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._settled()
        await self._parser.aclose()
        await self._threads.aclose()
        await self._leases.end()
        await self._threads.aclose()

    @property
    def unfinished(self) -> int:
        """Files waiting or being worked on, by whomever, as they were last counted: when there was nothing to do here,
        or a lease was renewed.
        """
        return self._leases.unfinished

    @property
    def scans(self) -> Scans:
        """Files that are being recognised here."""
        return self._scans

    async def submit(
        self,
        owner: str,
        store_id: str,
        file_id: str,
        attributes: Attributes | None = None,
        chunking: Chunking | Literal["auto"] | None = None,
    ) -> StoreFile:
        """Attaches a file; on return that is on disk. What is there already is not done again. Raises NotFound."""
        attached = await self._store.writes.run(
            self._store.attachments.attach, owner, store_id, file_id, attributes, chunking
        )
        self.take_up()
        return attached

    def take_up(self) -> None:
        """Something was put up for ingest."""
        self._leases.wake()

    async def wait(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Returns when the file is completed, failed or cancelled, or this ingestor is closed.

        Raises NotFound, also when the file goes away meanwhile.
        """
        while True:
            news = self._news  # before the look: what is settled after it is heard
            attached = await self._store.reads.run(self._store.attachments.get, owner, store_id, file_id)
            if attached.status != "in_progress" or self._steps.stopping:
                return attached
            await rung(news, self._pace.poll)  # others may settle it too, and a client cancel it

    async def _work(self, *, beside: bool) -> None:
        while not self._steps.stopping:
            job = await self._leases.next(beside=beside)
            try:
                rest = await self._see_through(job)
            except BaseException:  # whatever it is, it is not the end of the file: another worker takes it up
                self._leases.owe(job.attempt)
                raise
            await asyncio.sleep(rest)

    async def _see_through(self, job: IngestJob) -> float:
        """Until it is published, has failed, or must be tried again. Seconds that its worker is to rest."""
        if (why := deadly(job, self._pace)) is not None:
            if not await self._failed(job, *why):
                await self._leases.give_back(job.attempt, self._pace.pause(1))
            return 0.0
        try:
            published = await self._steps.publish(job)
        except BaseException as error:
            if ends_task(error):
                raise
            return await self._after(error, job)
        if not published:
            await self._leases.give_back(job.attempt)
            return 0.0
        self._completion.add(job.attempt, job.index_id)
        self._safe(job)
        return 0.0

    async def _after(self, error: BaseException, job: IngestJob) -> float:
        """A file gives way to others where it failed itself; its worker rests where they would fare no better."""
        if isinstance(error, Superseded):
            log.info("%s", error)
            self._forget(job)
            return 0.0
        if isinstance(error, Crowded):
            await self._leases.give_back(job.attempt, self._scans.wait(job.attempt.version))
            return 0.0
        tried = tried_by(job, error, self._pace, self._store.clock())
        if gives_up(job, error, tried, self._pace) and await self._failed(job, *verdict(error, tried)):
            return 0.0
        pause = self._pace.pause(tried.tries)
        await self._leases.give_back(job.attempt, pause, tried)
        return pause if passing(error) else 0.0

    async def _failed(self, job: IngestJob, code: str, message: str) -> bool:
        """False where it could not be written down."""
        try:
            await self._threads.run(self._store.publishing.fail, job.attempt, code, message)
        except Superseded as error:  # or it is visible already, and is to be completed
            log.info("%s", error)
            await self._leases.give_back(job.attempt)
        except BaseException as error:
            if ends_task(error):
                raise
            log.warning("%s: its failure (%s) could not be written down: %s", job.attempt, code, error)
            return False
        self._forget(job)
        return True

    def _forget(self, job: IngestJob) -> None:
        """It is settled, or somebody else's."""
        self._leases.let_go(job.attempt)
        self._safe(job)
        self._settled()

    def _safe(self, job: IngestJob) -> None:
        """Where a process has died at it before, the next one of its kind may be claimed."""
        if job.tried.deaths:
            self._leases.wake()

    def _settled(self) -> None:
        """Whoever waits looks again."""
        self._news.set()
        self._news = asyncio.Event()
