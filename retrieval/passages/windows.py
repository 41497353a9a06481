"""Passages that an embedder would cut: embedded in windows, which together give the passage's vectors.

One that fits, and with the usual chunking that is every passage, is one window and keeps its vectors as they are.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import numpy as np

from models.base import Embedder, Embedding, FloatArray
from models.rerankers.late_interaction import encode
from retrieval.passages.lexical_weights import encode_weights

_MARKS = 16  # tokens: what a model adds itself, and what a window may come to more than its share of the text


async def passage_vectors(
    embedder: Embedder, texts: Sequence[str]
) -> tuple[FloatArray, list[bytes], list[bytes] | None]:
    """What the store keeps: dense vectors, token codes, and lexical weights where the embedder has them."""
    cut = await asyncio.to_thread(lambda: [windows(text, embedder) for text in texts])
    embedding = await embedder.embed_documents([window for parts in cut for window in parts], tokens=True)
    return await asyncio.to_thread(_encoded, embedder, embedding, [len(parts) for parts in cut])


def _encoded(
    embedder: Embedder, embedding: Embedding, counts: Sequence[int]
) -> tuple[FloatArray, list[bytes], list[bytes] | None]:
    if embedding.tokens is None:
        raise TypeError(f"{embedder.name} gave no token vectors")
    if embedder.lexical and embedding.sparse is None:
        raise TypeError(f"{embedder.name} gave no lexical weights")
    whole = joined(embedding, counts)
    weights = [encode_weights(each) for each in whole.sparse or ()] if embedder.lexical else None
    return whole.dense, [encode(rows) for rows in whole.tokens or ()], weights


def windows(text: str, embedder: Embedder) -> list[str]:
    """Adjoining parts of `text`, each within the embedder's length; itself where it fits."""
    room = embedder.max_tokens - _MARKS
    if 2 * len(text) < room:  # a character is two tokens at most: its own, and the space before it
        return [text]
    starts = embedder.token_spans(text)[:, 0].tolist()
    edges = [0, *starts[room::room], len(text)]
    return [text[start:end] for start, end in pairwise(edges) if end > start]


def joined(embedding: Embedding, counts: Sequence[int]) -> Embedding:
    """One row for each of `counts`, which says how many windows it had.

    Dense: the mean of the windows, weighted by their tokens. Lexical: the greatest weight. Tokens: all of them.
    """
    if embedding.tokens is None or all(count == 1 for count in counts):
        return embedding
    tokens, parts = embedding.tokens, [slice(*edge) for edge in pairwise([0, *accumulate(counts)])]
    return Embedding(
        dense=np.stack([_mean(embedding.dense[part], [len(rows) for rows in tokens[part]]) for part in parts]),
        sparse=None if embedding.sparse is None else [_greatest(embedding.sparse[part]) for part in parts],
        tokens=[np.concatenate(tokens[part]) for part in parts],
    )


def _mean(rows: FloatArray, weights: Sequence[int]) -> FloatArray:
    mean: FloatArray = np.average(rows, axis=0, weights=np.maximum(weights, 1)).astype(np.float32)
    unit: FloatArray = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return unit if len(rows) > 1 else rows[0]


def _greatest(weights: Sequence[Mapping[int, float]]) -> Mapping[int, float]:
    return dict(sorted(pair for each in weights for pair in each.items()))  # the greatest of a token comes last
