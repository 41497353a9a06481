"""The steps of a file version up to being visible: parsed, cut into passages, embedded, published.

Each is on disk when it returns, so what was broken off goes on from the last one.
"""

import threading
from collections.abc import Iterator, Sequence

from models.base import Embedder
from retrieval.parsing import parse
from retrieval.passages.chunking import chunk
from retrieval.passages.identity import identify
from retrieval.passages.tokenize import Tokenizer
from retrieval.passages.windows import passage_vectors
from retrieval.store.store import Store
from retrieval.store.types import IngestJob, Superseded
from retrieval.threads import Threads
from retrieval.types import AUTO, Chunking, IdentifiedDocument, NewChunk, indexed_text

_EMBED_BATCH = 64  # passages saved together
_CHUNK_BATCH = 256  # chunks made pending together


class Steps:
    def __init__(self, store: Store, embedder: Embedder, tokenizer: Tokenizer, threads: Threads) -> None:
        self._store = store
        self._embedder = embedder
        self._tokenizer = tokenizer
        self._threads = threads
        self._stopping = threading.Event()

    def stop(self) -> None:
        """A file that is being cut is broken off."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def publish(self, job: IngestJob) -> bool:
        """Every step up to a visible version; False where it must be taken up again (see Store.publish).

        Raises Superseded, and what a step raises.
        """
        if job.stage in ("accepted", "parsed"):
            await self._threads.run(self._prepare, job)
        await self._embed(job)
        return await self._threads.run(self._store.publish, job.attempt)

    def _prepare(self, job: IngestJob) -> None:
        """Bytes to pending chunks. Raises ParseError, EmbedderMismatch, Superseded."""
        store, attempt = self._store, job.attempt
        store.claim_embedder(attempt, self._embedder.name, self._embedder.dim, self._embedder.lexical)
        parsed = parse(store.file_content(job.owner, job.file_id), job.filename, job.media_type)
        store.set_stage(attempt, "parsed")
        documents = identify(job.store_id, job.filename, parsed)
        known = store.keep_documents(attempt, documents)
        for batch in self._batches([document for document in documents if document.id not in known], job.chunking):
            if self.stopping:
                raise Superseded("the ingestor is closing")
            store.add_documents(attempt, batch)
        store.finish_chunking(attempt, len(documents))

    def _batches(
        self, documents: Sequence[IdentifiedDocument], chunking: Chunking
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
        pending = await self._threads.run(self._store.pending_keys, job.attempt)
        size = max(1, _EMBED_BATCH * AUTO.size // max(job.chunking.size, AUTO.size))
        for first in range(0, len(pending), size):
            keys = pending[first : first + size]
            texts = await self._threads.run(self._store.pending_texts, job.attempt, keys)
            vectors, codes, weights = await passage_vectors(self._embedder, texts)
            await self._threads.run(self._store.save_vectors, job.attempt, keys, vectors, codes, weights)
