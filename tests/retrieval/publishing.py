"""Passages put into a store without an ingestor: synthetic vectors, white-space terms."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from models.base import FloatArray
from retrieval.passages.identity import identify
from retrieval.passages.lexical_weights import encode_weights
from retrieval.store.base.values import Attempt, IngestJob, NamedStore, Passage, StoreFile, Superseded
from retrieval.store.store import Store
from retrieval.types import Attributes, NewChunk, ParsedDocument, Span

DIM = 16
WORKER = "tests"


def vector(text: str, dim: int = DIM) -> FloatArray:
    """A unit vector that depends on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    row = np.random.default_rng(seed).standard_normal(dim).astype(np.float32)
    return row / np.linalg.norm(row)


def token_weights(text: str) -> dict[int, float]:
    """Lexical weights that depend on the text alone: each word's token weighs its count."""
    counts = Counter(zlib.crc32(word.encode()) % 250_002 for word in text.lower().split())
    return {token: float(count) for token, count in counts.items()}


def attach(store: Store, store_id: str, filename: str, content: str, attributes: Attributes | None = None) -> StoreFile:
    file = store.files.add("ann", filename, content.encode())
    return store.attachments.attach("ann", store_id, file.id, attributes)


def named(store: Store, owner: str, ids: Sequence[str]) -> list[NamedStore]:
    """As they are given to a search."""
    return [store.vector_stores.resolve(owner, each) for each in ids]


def take_up(store: Store, version: int) -> IngestJob:
    """A new attempt at this version, whoever of the test's has it. Raises Superseded."""
    store.queue.release_all(WORKER)
    others = []
    while (job := store.queue.claim(WORKER, 3600)) is not None and job.attempt.version != version:
        others.append(job.attempt)
    for attempt in others:
        store.queue.release(attempt)
    if job is None:
        raise Superseded(f"{version} is not in progress")
    return job


def prepare(
    store: Store, version: int, documents: Sequence[ParsedDocument], embed: bool = True, lexical: bool = False
) -> Attempt:
    """Up to, but without, publishing: one chunk a document. lexical: as by an embedder that gives lexical weights."""
    job = take_up(store, version)
    attempt = job.attempt
    identified = identify(job.store_id, job.filename, documents)
    store.versions.claim_embedder(attempt, "synthetic", DIM, lexical)
    known = store.versions.keep_documents(attempt, identified)
    store.versions.add_documents(
        attempt,
        [
            (each, [NewChunk(Span(0, len(each.parsed.text)), each.parsed.text, each.parsed.text.lower().split())])
            for each in identified
            if each.id not in known
        ],
    )
    store.versions.finish_chunking(attempt, len(identified))
    pending = store.versions.pending_keys(attempt)
    if embed and pending:
        texts = store.versions.pending_texts(attempt, pending)
        weights = [encode_weights(token_weights(text)) for text in texts] if lexical else None
        vectors = np.stack([vector(text) for text in texts])
        store.versions.save_vectors(attempt, pending, vectors, [b"code"] * len(pending), weights)
    return attempt


def publish(
    store: Store,
    store_id: str,
    filename: str,
    texts: Sequence[str],
    attributes: Attributes | None = None,
    rows: Sequence[Attributes] = (),
    lexical: bool = False,
) -> StoreFile:
    """A file of one document a text, visible and completed."""
    attached = attach(store, store_id, filename, "\n".join([*texts, repr(rows)]), attributes)
    if attached.status == "completed":
        return attached
    own = list(rows) or [{}] * len(texts)
    documents = [ParsedDocument(t, attributes=a) for t, a in zip(texts, own, strict=True)]
    assert store.publishing.publish(prepare(store, attached.version, documents, lexical=lexical))
    store.publishing.complete([attached.version])
    return store.attachments.get("ann", store_id, attached.file_id)


def texts(store: Store, store_id: str) -> list[str]:
    """Everything that is visible, by key."""
    keys, _ = store.passages.visible_keys(store_id)
    found = passages(store, store_id, keys)
    return [found[key].chunk.text for key in keys if key in found]  # not those that are leaving


def passages(store: Store, store_id: str, keys: Sequence[int] | None = None) -> dict[int, Passage]:
    """Those under the keys, or every visible one."""
    wanted = store.passages.visible_keys(store_id)[0] if keys is None else keys
    return store.passages.load("ann", store.vector_stores.resolve("ann", store_id), wanted)
