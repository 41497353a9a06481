"""Passages put into a store without an ingestor: synthetic vectors, white-space terms."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from models.base import FloatArray
from retrieval.passages.identity import identify
from retrieval.passages.lexical_weights import encode_weights
from retrieval.store.store import Store, StoreFile
from retrieval.store.types import Attempt
from retrieval.types import Attributes, NewChunk, ParsedDocument, Span

DIM = 16


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
    file = store.add_file("ann", filename, content.encode())
    return store.attach("ann", store_id, file.id, attributes)


def prepare(
    store: Store, version: int, documents: Sequence[ParsedDocument], embed: bool = True, lexical: bool = False
) -> Attempt:
    """Up to, but without, publishing: one chunk a document. lexical: as by an embedder that gives lexical weights."""
    job = store.take_up(version)
    attempt = job.attempt
    identified = identify(job.store_id, job.filename, documents)
    store.claim_embedder(attempt, "synthetic", DIM, lexical)
    known = store.keep_documents(attempt, identified)
    store.add_documents(
        attempt,
        [
            (each, [NewChunk(Span(0, len(each.parsed.text)), each.parsed.text, each.parsed.text.lower().split())])
            for each in identified
            if each.id not in known
        ],
    )
    store.finish_chunking(attempt, len(identified))
    pending = store.pending_keys(attempt)
    if embed and pending:
        texts = store.pending_texts(attempt, pending)
        weights = [encode_weights(token_weights(text)) for text in texts] if lexical else None
        vectors = np.stack([vector(text) for text in texts])
        store.save_vectors(attempt, pending, vectors, [b"code"] * len(pending), weights)
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
    assert store.publish(prepare(store, attached.version, documents, lexical=lexical))
    store.complete([attached.version])
    return store.get_store_file("ann", store_id, attached.file_id)


def texts(store: Store, store_id: str) -> list[str]:
    """Everything that is visible, by key."""
    keys, _ = store.visible_keys(store_id)
    passages = store.load_passages("ann", store_id, keys)
    return [passages[key].chunk.text for key in keys]
