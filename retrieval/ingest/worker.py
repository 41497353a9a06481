"""Files on their way to being found: accepted -> parsed -> chunked -> embedded -> indexed, or failed, or cancelled.

The queue is the store's own rows, so what was accepted goes on after a crash, from the last step that is on disk:
embedding is done once for each passage. Blocking steps run in the ingestor's threads; the event loop never waits.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

from models.base import Embedder
from models.errors import InputTooLong, ModelError
from retrieval.indexes.manager import IndexManager
from retrieval.parsing import ParseError, parse
from retrieval.passages.chunking import chunk
from retrieval.passages.identity import identify
from retrieval.passages.tokenize import Tokenizer
from retrieval.passages.windows import passage_vectors
from retrieval.store.store import EmbedderMismatch, NotFound, Store, StoreFile
from retrieval.store.types import IngestJob, Superseded
from retrieval.types import AUTO, Attributes, Chunking, IdentifiedDocument, NewChunk, indexed_text

log = logging.getLogger("ragpod.ingest")

_EMBED_BATCH = 64  # passages saved together
_CHUNK_BATCH = 256  # chunks made pending together
_LONGEST_PAUSE = 30.0  # seconds between tries while the embedder is down or the disk is full

_INDEX_PAUSE = 5.0  # seconds before an index that could not be written is tried again

P = ParamSpec("P")
T = TypeVar("T")


class Ingestor:
    """Works through the store's unfinished files, a few at a time.

    workers: files worked on at once; the embedder runs one call at a time anyway, and parsing and disk overlap with it.
    """

    def __init__(
        self, store: Store, manager: IndexManager, embedder: Embedder, tokenizer: Tokenizer, *, workers: int = 4
    ) -> None:
        self._store = store
        self._manager = manager
        self._embedder = embedder
        self._tokenizer = tokenizer
        self._workers = workers
        self._threads = ThreadPoolExecutor(workers + 1, thread_name_prefix="ingest")
        self._closing = threading.Event()
        self._queue: asyncio.Queue[int] = asyncio.Queue()
        self._published: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        self._scheduled: dict[int, asyncio.Event] = {}  # set when the version has been worked through
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Takes up everything that is unfinished, and then what is submitted."""
        await self.take_up()
        self._tasks = [asyncio.create_task(self._work(), name=f"ingest-{i}") for i in range(self._workers)]
        self._tasks.append(asyncio.create_task(self._index(), name="ingest-index"))

    async def aclose(self) -> None:
        """Stops after the steps that are running; the rest goes on at the next start."""
        self._closing.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for event in self._scheduled.values():
            event.set()
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    @property
    def unfinished(self) -> int:
        """Files waiting or being worked on."""
        return len(self._scheduled)

    async def submit(
        self,
        owner: str,
        store_id: str,
        file_id: str,
        attributes: Attributes | None = None,
        chunking: Chunking | None = None,
    ) -> StoreFile:
        """Attaches a file; on return that is on disk. What is there already is not done again. Raises NotFound."""
        attached = await asyncio.to_thread(self._store.attach, owner, store_id, file_id, attributes, chunking)
        if attached.status == "in_progress":
            self._schedule(attached.version)
        return attached

    async def take_up(self) -> None:
        """Everything that is unfinished in the store, whoever attached it."""
        for version in await asyncio.to_thread(self._store.unfinished):
            self._schedule(version)

    async def wait(self, owner: str, store_id: str, file_id: str) -> StoreFile:
        """Returns when the file is completed, failed or cancelled, or this ingestor is closed.

        Raises NotFound, also when the file goes away meanwhile.
        """
        while True:
            attached = await asyncio.to_thread(self._store.get_store_file, owner, store_id, file_id)
            if attached.status != "in_progress" or self._closing.is_set():
                return attached
            await self._schedule(attached.version).wait()

    def _schedule(self, version: int) -> asyncio.Event:
        if version not in self._scheduled:
            self._scheduled[version] = asyncio.Event()
            self._queue.put_nowait(version)
        return self._scheduled[version]

    async def _work(self) -> None:
        while True:
            version = await self._queue.get()
            pause = 0.25
            while not await self._settled(version):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _settled(self, version: int) -> bool:
        """True when it is published, has failed by its own fault, or is wanted no more; False to try again later."""
        try:
            try:
                self._published.put_nowait((version, await self._publish(version)))
            except (Superseded, NotFound) as error:  # NotFound: the file was deleted
                log.info("%s", error)
            except Exception as error:
                if _passing(error):
                    raise
                await self._fail(version, error)
            else:
                return True
            if await self._in_thread(self._store.is_unfinished, version):  # attached again by now
                return False
        except (ModelError, sqlite3.OperationalError) as error:
            log.warning("file version %d must wait: %s", version, error)
            return False
        self._scheduled.pop(version).set()
        return True

    async def _index(self) -> None:
        """One refresh of a vector store's indexes for all that was published there since the last."""
        while True:
            published = [await self._published.get()]
            while not self._published.empty():
                published.append(self._published.get_nowait())
            for store_id in {store_id for _, store_id in published}:
                await self._complete(store_id, [version for version, its_store in published if its_store == store_id])

    async def _complete(self, store_id: str, versions: list[int]) -> None:
        try:
            with suppress(NotFound):  # deleted meanwhile
                await self._in_thread(self._manager.refresh, store_id)
            await self._in_thread(self._store.complete, versions)
        except Exception:  # whatever it is, the passages are safe in the store: the indexes are tried again
            log.exception("the indexes of %s could not be brought up to date", store_id)
            for version in versions:
                asyncio.get_running_loop().call_later(_INDEX_PAUSE, self._published.put_nowait, (version, store_id))
            return
        for version in versions:
            self._scheduled.pop(version).set()

    async def _publish(self, version: int) -> str:
        """Every step up to a visible version; returns the vector store. Raises Superseded, and what a step raises."""
        published = False
        while not published:
            job = await self._in_thread(self._store.ingest_job, version)
            if job.stage in ("accepted", "parsed"):
                await self._in_thread(self._prepare, job)
            await self._embed(job)
            published = await self._in_thread(self._store.publish, version)
        return job.store_id

    def _prepare(self, job: IngestJob) -> None:
        """Bytes to pending chunks. Raises ParseError, EmbedderMismatch, Superseded."""
        store, version = self._store, job.version
        store.claim_embedder(version, self._embedder.name, self._embedder.dim, self._embedder.lexical)
        parsed = parse(store.file_content(job.owner, job.file_id), job.filename, job.media_type)
        store.set_stage(version, "parsed")
        documents = identify(job.store_id, job.filename, parsed)
        known = store.keep_documents(version, documents)
        for batch in self._batches([document for document in documents if document.id not in known], job.chunking):
            if self._closing.is_set():
                raise Superseded("the ingestor is closing")
            store.add_documents(version, batch)
        store.finish_chunking(version, len(documents))

    def _batches(
        self, documents: list[IdentifiedDocument], chunking: Chunking
    ) -> Iterator[list[tuple[IdentifiedDocument, list[NewChunk]]]]:
        batch: list[tuple[IdentifiedDocument, list[NewChunk]]] = []
        size = 0
        for document in documents:
            chunks = self._chunks(document, chunking)
            batch.append((document, chunks))
            size += len(chunks) + 1
            if size >= _CHUNK_BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _chunks(self, document: IdentifiedDocument, chunking: Chunking) -> list[NewChunk]:
        parsed, chunks = document.parsed, []
        for span in chunk(parsed, self._embedder.token_spans, size=chunking.size, overlap=chunking.overlap):
            text = parsed.text[span.start : span.end]
            terms = self._tokenizer.terms(indexed_text(parsed.title, span.headings, text))
            chunks.append(NewChunk(span, text, terms))
        return chunks

    async def _embed(self, job: IngestJob) -> None:
        pending = await self._in_thread(self._store.pending_keys, job.version)
        size = max(1, _EMBED_BATCH * AUTO.size // max(job.chunking.size, AUTO.size))
        for first in range(0, len(pending), size):
            keys = pending[first : first + size]
            texts = await self._in_thread(self._store.pending_texts, keys)
            vectors, codes, weights = await passage_vectors(self._embedder, texts)
            await self._in_thread(self._store.save_vectors, job.version, keys, vectors, codes, weights)

    async def _fail(self, version: int, error: Exception) -> None:
        code = _code(error)
        if code == "server_error":
            log.error("file version %d failed", version, exc_info=error)
        with suppress(Superseded):  # cancelled while it failed
            await self._in_thread(self._store.fail, version, code, str(error) or type(error).__name__)

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))


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
