"""Files on their way to being found: accepted -> parsed -> chunked -> embedded -> indexed, or failed, or cancelled.

The queue is the store's own rows, so what was accepted goes on after a crash, from the last step that is on disk:
embedding is done once for each passage. Blocking steps run in the ingestor's threads; the event loop never waits.
"""

import asyncio
import logging
from contextlib import suppress

from models.base import Embedder
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.lasting import ends_task, lasting
from retrieval.ingest.queue import Queue
from retrieval.ingest.steps import Steps
from retrieval.ingest.tries import Tries
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.store import NotFound, Store, StoreFile
from retrieval.store.types import IngestJob, Superseded
from retrieval.threads import Threads
from retrieval.types import Attributes, Chunking

log = logging.getLogger("ragpod.ingest")

_FIRST_PAUSE = 0.25  # seconds before a file that could not be done is tried again; then longer
_INDEX_PAUSE = 5.0  # seconds before an index that could not be written is tried again


class Ingestor:
    """Works through the store's unfinished files, a few at a time.

    workers: files worked on at once; the embedder runs one call at a time anyway, and parsing and disk overlap with it.
    first_pause: seconds before a file is tried again; each pause is twice the one before. index_pause: seconds before
    indexes are.

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
        first_pause: float = _FIRST_PAUSE,
        index_pause: float = _INDEX_PAUSE,
    ) -> None:
        self._store = store
        self._manager = manager
        self._workers = workers
        self._first_pause = first_pause
        self._index_pause = index_pause
        self._threads = Threads(workers + 1, "ingest")
        self._steps = Steps(store, embedder, tokenizer, self._threads)
        self._queue = Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Takes up everything that is unfinished, and then what is submitted."""
        await self.take_up()
        self._tasks = [asyncio.create_task(lasting(self._work), name=f"ingest-{i}") for i in range(self._workers)]
        self._tasks.append(asyncio.create_task(lasting(self._index), name="ingest-index"))

    async def aclose(self) -> None:
        """Stops after the steps that are running; the rest goes on at the next start."""
        self._steps.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._queue.release()
        await self._threads.aclose()

    @property
    def unfinished(self) -> int:
        """Files waiting or being worked on."""
        return len(self._queue)

    async def submit(
        self,
        owner: str,
        store_id: str,
        file_id: str,
        attributes: Attributes | None = None,
        chunking: Chunking | None = None,
    ) -> StoreFile:
        """Attaches a file; on return that is on disk. What is there already is not done again. Raises NotFound."""
        attached = await self._store.writes.run(self._store.attach, owner, store_id, file_id, attributes, chunking)
        if attached.status == "in_progress":
            self._queue.add(attached.version)
        return attached

    async def take_up(self) -> None:
        """Everything that is unfinished in the store, whoever attached it."""
        for version in await self._store.reads.run(self._store.unfinished):
            self._queue.add(version)

    async def wait(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Returns when the file is completed, failed or cancelled, or this ingestor is closed.

        Raises NotFound, also when the file goes away meanwhile.
        """
        while True:
            attached = await self._store.reads.run(self._store.get_store_file, owner, store_id, file_id)
            if attached.status != "in_progress" or self._steps.stopping:
                return attached
            await self._queue.watch(attached.version).wait()

    async def _work(self) -> None:
        while not self._steps.stopping:
            version = await self._queue.next()
            try:
                await self._see_through(version)
            except BaseException:  # whatever it is, it is not the end of the file: another worker takes it up
                self._queue.put_back(version)
                raise

    async def _see_through(self, version: int) -> None:
        """Until it is published, has failed, or is wanted no more."""
        tries = Tries(version, self._first_pause)
        while not await self._tried(version, tries):
            await asyncio.sleep(tries.pause())
            if self._steps.stopping:
                return

    async def _tried(self, version: int, tries: Tries) -> bool:
        """False to try again later."""
        job: IngestJob | None = None
        try:
            job = await self._threads.run(self._store.take_up, version)
            while not await self._steps.publish(job):
                job = await self._threads.run(self._store.take_up, version)
        except BaseException as error:
            if ends_task(error):
                raise
            if not isinstance(error, Superseded) or job is not None:  # a job that was superseded may be put up again
                return not tries.again(error) and job is not None and await self._failed(job, *tries.verdict(error))
            self._queue.done(version)
        else:
            self._queue.publish(version, job.store_id)
        return True

    async def _failed(self, job: IngestJob, code: str, message: str) -> bool:
        """False where it could not be written down, or was put up again meanwhile."""
        try:
            await self._threads.run(self._store.fail, job.attempt, code, message)
        except BaseException as error:
            if ends_task(error):
                raise
            log.warning("%s: its failure (%s) could not be written down: %s", job.attempt, code, error)
            return False
        self._queue.done(job.attempt.version)
        return True

    async def _index(self) -> None:
        """One refresh of a vector store's indexes for all that was published there since the last."""
        while not self._steps.stopping:
            published = await self._queue.next_published()
            try:
                for store_id, versions in published.items():
                    await self._complete(store_id, versions)
            except BaseException:
                for store_id, versions in published.items():
                    self._publish_again(store_id, versions)
                raise

    async def _complete(self, store_id: str, versions: list[int]) -> None:
        try:
            with suppress(NotFound):  # deleted meanwhile
                await self._threads.run(self._manager.refresh, store_id)
            await self._threads.run(self._store.complete, versions)
        except BaseException as error:
            if ends_task(error):
                raise
            # Whatever it is, the passages are safe in the store: the indexes are tried again.
            log.exception("the indexes of %s could not be brought up to date", store_id)
            asyncio.get_running_loop().call_later(self._index_pause, self._publish_again, store_id, versions)
            return
        for version in versions:
            self._queue.done(version)

    def _publish_again(self, store_id: str, versions: list[int]) -> None:
        for version in versions:
            self._queue.publish(version, store_id)
