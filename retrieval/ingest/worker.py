"""Files on their way to being found: accepted -> parsed -> chunked -> embedded -> indexed, or failed, or cancelled.

The queue is the store's own rows, so what was accepted goes on after a crash, from the last step that is on disk:
embedding is done once for each passage. Blocking steps run in the ingestor's threads; the event loop never waits.
"""

import asyncio
import logging
import sqlite3
from contextlib import suppress

from models.base import Embedder
from models.errors import InputTooLong, ModelError
from retrieval.indexes.manager import IndexManager
from retrieval.ingest.queue import Queue
from retrieval.ingest.steps import Steps
from retrieval.parsing import ParseError
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.store import EmbedderMismatch, NotFound, Store, StoreFile
from retrieval.store.types import Superseded
from retrieval.threads import Threads
from retrieval.types import Attributes, Chunking

log = logging.getLogger("ragpod.ingest")

_LONGEST_PAUSE = 30.0  # seconds between tries while the embedder is down or the disk is full
_INDEX_PAUSE = 5.0  # seconds before an index that could not be written is tried again


class Ingestor:
    """Works through the store's unfinished files, a few at a time.

    workers: files worked on at once; the embedder runs one call at a time anyway, and parsing and disk overlap with it.
    """

    def __init__(
        self, store: Store, manager: IndexManager, embedder: Embedder, tokenizer: Tokenizer, *, workers: int = 4
    ) -> None:
        self._store = store
        self._manager = manager
        self._workers = workers
        self._threads = Threads(workers + 1, "ingest")
        self._steps = Steps(store, embedder, tokenizer, self._threads)
        self._queue = Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Takes up everything that is unfinished, and then what is submitted."""
        await self.take_up()
        self._tasks = [asyncio.create_task(self._work(), name=f"ingest-{i}") for i in range(self._workers)]
        self._tasks.append(asyncio.create_task(self._index(), name="ingest-index"))

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
            await self._queue.add(attached.version).wait()

    async def _work(self) -> None:
        while True:
            version = await self._queue.next()
            pause = 0.25
            while not await self._settled(version):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _settled(self, version: int) -> bool:
        """True when it is published, has failed by its own fault, or is wanted no more; False to try again later."""
        try:
            try:
                self._queue.publish(version, await self._steps.publish(version))
            except (Superseded, NotFound) as error:  # NotFound: the file was deleted
                log.info("%s", error)
            except Exception as error:
                if _passing(error):
                    raise
                await self._fail(version, error)
            else:
                return True
            if await self._threads.run(self._store.is_unfinished, version):  # attached again by now
                return False
        except (ModelError, sqlite3.OperationalError) as error:
            log.warning("file version %d must wait: %s", version, error)
            return False
        self._queue.done(version)
        return True

    async def _index(self) -> None:
        """One refresh of a vector store's indexes for all that was published there since the last."""
        while True:
            for store_id, versions in (await self._queue.next_published()).items():
                await self._complete(store_id, versions)

    async def _complete(self, store_id: str, versions: list[int]) -> None:
        try:
            with suppress(NotFound):  # deleted meanwhile
                await self._threads.run(self._manager.refresh, store_id)
            await self._threads.run(self._store.complete, versions)
        except Exception:  # whatever it is, the passages are safe in the store: the indexes are tried again
            log.exception("the indexes of %s could not be brought up to date", store_id)
            for version in versions:
                asyncio.get_running_loop().call_later(_INDEX_PAUSE, self._queue.publish, version, store_id)
            return
        for version in versions:
            self._queue.done(version)

    async def _fail(self, version: int, error: Exception) -> None:
        code = _code(error)
        if code == "server_error":
            log.error("file version %d failed", version, exc_info=error)
        with suppress(Superseded):  # cancelled while it failed
            await self._threads.run(self._store.fail, version, code, str(error) or type(error).__name__)


def _passing(error: Exception) -> bool:
    """Trouble that is not the file's: the embedder is busy or down, the disk is full."""
    return error.retryable if isinstance(error, ModelError) else isinstance(error, sqlite3.OperationalError)


def _code(error: Exception) -> str:
    """For StoreFile.error."""
    if isinstance(error, ParseError):
        return error.code
    if isinstance(error, EmbedderMismatch):
        return "embedder_mismatch"
    return "invalid_file" if isinstance(error, InputTooLong) else "server_error"
