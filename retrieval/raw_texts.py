"""The rerank stages on texts that are in no store: a cross-encoder reads each; without one they are treated as a small
store of their own.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from models.base import Embedder, FloatArray
from models.late_interaction import encode
from retrieval.features import Candidates, Query
from retrieval.ranker import Ranker
from retrieval.stages import MaxSim, Plan
from retrieval.tokenize import Tokenizer

_K1, _B = 1.2, 0.75


async def relevance(
    query: str, texts: Sequence[str], embedder: Embedder, tokenizer: Tokenizer, plan: Plan
) -> FloatArray:
    """(len(texts),) float32 in 0..1: how likely each text answers the query. Raises ModelError."""
    if not texts:
        return np.zeros(0, np.float32)
    if plan.reranker is not None:
        return plan.reranker.probability(await plan.reranker.score(query, texts))
    asked = await embedder.embed_queries([query], tokens=True)
    given = await embedder.embed_documents(texts, tokens=True)
    if asked.tokens is None or given.tokens is None:
        raise TypeError(f"{embedder.name} gave no token vectors")
    dense: FloatArray = given.dense @ asked.dense[0]
    late = await asyncio.to_thread(_late, plan.late_interaction, asked.tokens[0], given.tokens)
    scores = {"dense": dense, "late": late}
    if asked.sparse is not None and given.sparse is not None:
        scores["sparse"] = _overlap(asked.sparse[0], given.sparse)
    terms, *words = await asyncio.to_thread(lambda: [tokenizer.terms(text) for text in (query, *texts)])
    return _probability(terms, words, scores, plan.ranker)


def _late(maxsim: MaxSim, query_tokens: FloatArray, tokens: Sequence[FloatArray]) -> FloatArray:
    return maxsim(query_tokens, [encode(rows) for rows in tokens])


def _overlap(query: Mapping[int, float], texts: Sequence[Mapping[int, float]]) -> FloatArray:
    """Inner products of lexical weights."""
    return np.array([sum(w * text.get(token, 0.0) for token, w in query.items()) for text in texts], np.float32)


def _probability(
    terms: Sequence[str], words: Sequence[Sequence[str]], scores: dict[str, FloatArray], ranker: Ranker
) -> FloatArray:
    unique = list(dict.fromkeys(terms))
    weights = inverse_frequency(unique, words)
    candidates = Candidates(
        documents=[str(i) for i in range(len(words))],
        scores={"bm25": bm25(terms, dict(zip(unique, weights.tolist(), strict=True)), words), **scores},
        texts=words,
        titles=[()] * len(words),
    )
    stage, asked = ranker.stages.get("rerank2") or ranker.stages["rerank1"], Query(unique, weights)
    return stage.probability(stage.order(asked, candidates), asked, candidates)


def inverse_frequency(terms: Sequence[str], texts: Sequence[Sequence[str]]) -> FloatArray:
    """(len(terms),) float32: Lucene's idf over `texts`, as in retrieval/bm25.py."""
    frequency = Counter(term for text in texts for term in set(text))
    found = np.array([frequency[term] for term in terms], np.float32)
    weights: FloatArray = np.log1p((len(texts) - found + 0.5) / (found + 0.5)).astype(np.float32)
    return weights


def bm25(terms: Sequence[str], weights: dict[str, float], texts: Sequence[Sequence[str]]) -> FloatArray:
    """(len(texts),) float32: BM25 with k1 = 1.2 and b = 0.75; a term that the query repeats counts each time."""
    mean = sum(map(len, texts)) / len(texts) or 1.0
    scores = np.zeros(len(texts), np.float32)
    for i, text in enumerate(texts):
        counts = Counter(text)
        damping = _K1 * (1 - _B + _B * len(text) / mean)
        scores[i] = sum(weights[t] * counts[t] * (_K1 + 1) / (counts[t] + damping) for t in terms if counts[t])
    return scores
