"""The steps of a file version up to being visible: parsed, cut into passages, embedded, published.

Each is on disk when it returns, so what was broken off goes on from the last one.
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence

from models.base import Embedder
from retrieval.embedders import Embedders
from retrieval.ingest.scans import Scans
from retrieval.passages import blocks
from retrieval.passages.chunking import chunk
from retrieval.passages.identity import identify
from retrieval.passages.tokenize import Tokenizer
from retrieval.passages.windows import passage_vectors
from retrieval.privacy import Kind, mask_all
from retrieval.sandbox.pool import Crowded, Parser
from retrieval.store.base.values import IngestJob, Superseded
from retrieval.store.store import Store
from retrieval.threads import Threads
from retrieval.types import AUTO, IdentifiedDocument, NewChunk, ParsedDocument, indexed_text

_EMBED_BATCH = 64  # passages saved together
_CHUNK_BATCH = 256  # chunks made pending together
_LOOK_SECONDS = 1.0  # between two looks whether the file that is being parsed is still wanted


class Steps:
    """masked: the kinds of personal data that are made unreadable before anything is stored. scans: of files that need
    OCR.
    """

    def __init__(
        self,
        store: Store,
        embedders: Embedders,
        tokenizer: Tokenizer,
        threads: Threads,
        parser: Parser,
        scans: Scans,
        masked: Sequence[Kind] = (),
    ) -> None:
        self._parser = parser
        self._scans = scans
        self._masked = masked
        self._store = store
        self._embedders = embedders
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

        Raises Superseded, Crowded, and what a step raises.
        """
        if job.stage in ("accepted", "parsed"):
            if self._parser.crowded and self._scans.waits(job.attempt.version):
                raise Crowded
            content = await self._threads.run(self._content, job)
            parsed = await self._parsed(job, content)
            del content
            await self._threads.run(self._prepare, job, parsed)
            await self._scans.clear(job.attempt.version)
        await self._embed(job)
        return await self._threads.run(self._store.publishing.publish, job.attempt)

    def _embedder_of(self, job: IngestJob) -> Embedder:
        """That of the generation; the current one where there is none of it, which is told apart when it is claimed."""
        return self._embedders.get(job.embedder) or self._embedders.current

    def _content(self, job: IngestJob) -> bytes:
        """Raises EmbedderMismatch, Superseded, NotFound."""
        embedder = self._embedder_of(job)
        self._store.versions.claim_embedder(job.attempt, embedder.name, embedder.dim, embedder.lexical)
        return self._store.files.content(job.owner, job.file_id)

    async def _parsed(self, job: IngestJob, content: bytes) -> list[ParsedDocument]:
        """Raises ParseError, Crowded; Superseded as soon as nobody wants it any more: then its parser is ended."""
        scan = self._scans.of(job.attempt.version, job.store_id)
        parsing = asyncio.ensure_future(self._parser.parse(content, job.filename, job.media_type, scan))
        try:
            while not (await asyncio.wait([parsing], timeout=_LOOK_SECONDS))[0]:
                await self._threads.run(self._store.versions.pending_keys, job.attempt)  # raises Superseded
            return parsing.result()
        finally:
            if not parsing.done():
                parsing.cancel()
                await asyncio.wait([parsing])
            scan.end()

    def _prepare(self, job: IngestJob, parsed: Sequence[ParsedDocument]) -> None:
        """Documents to pending chunks. Raises Superseded."""
        store, attempt = self._store, job.attempt
        parsed, masked = mask_all(parsed, self._masked)
        store.versions.set_stage(attempt, "parsed")
        documents = identify(job.store_id, job.filename, parsed)
        known = store.versions.keep_documents(attempt, documents)
        for batch in self._batches([document for document in documents if document.id not in known], job):
            if self.stopping:
                raise Superseded("the ingestor is closing")
            store.versions.add_documents(attempt, batch)
        warnings = [*([masked] if masked else []), *(each.warning for each in parsed if each.warning)]
        store.versions.finish_chunking(attempt, len(documents), warnings)

    def _batches(
        self, documents: Sequence[IdentifiedDocument], job: IngestJob
    ) -> Iterator[list[tuple[IdentifiedDocument, list[NewChunk]]]]:
        batch: list[tuple[IdentifiedDocument, list[NewChunk]]] = []
        size = 0
        for document in documents:
            chunks = self._chunks(document, job)
            batch.append((document, chunks))
            size += len(chunks) + 1
            if size >= _CHUNK_BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _chunks(self, document: IdentifiedDocument, job: IngestJob) -> list[NewChunk]:
        parsed, chunks, size, overlap = document.parsed, [], job.chunking.size, job.chunking.overlap
        known, spans = blocks.of_document(parsed), self._embedder_of(job).token_spans
        for span in chunk(parsed, spans, known, size=size, overlap=overlap):
            text = parsed.text[span.start : span.end]
            own = blocks.within(known, text, span.start, span.end)
            terms = self._tokenizer.terms(indexed_text(parsed.title, span.headings, text, own))
            chunks.append(NewChunk(span, text, terms, own))
        return chunks

    async def _embed(self, job: IngestJob) -> None:
        pending = await self._threads.run(self._store.versions.pending_keys, job.attempt)
        size = max(1, _EMBED_BATCH * AUTO.size // max(job.chunking.size, AUTO.size))
        for first in range(0, len(pending), size):
            keys = pending[first : first + size]
            texts = await self._threads.run(self._store.versions.pending_texts, job.attempt, keys)
            vectors, codes, weights = await passage_vectors(self._embedder_of(job), texts)
            await self._threads.run(self._store.versions.save_vectors, job.attempt, keys, vectors, codes, weights)
