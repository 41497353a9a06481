"""The rerank stages on texts that are in no store: they are treated as a small store of their own, and a cross-encoder
reads them beside the query.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.base import Embedder, FloatArray
from models.rerankers.late_interaction import encode
from retrieval.passages.tokenize import Tokenizer
from retrieval.ranking.features import Candidates, Query
from retrieval.ranking.ranker import Stage
from retrieval.ranking.stages import STAGE_1_KEEPS, MaxSim, RerankPlan

LATE, LEARNED, CROSS = "late_interaction", "learned", "cross_encoder"
_K1, _B = 1.2, 0.75


class UnknownStages(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Relevance:
    """scores: (n,) float32 in 0..1, how likely each text answers the query. stages: those that ran, in their order."""

    scores: FloatArray
    stages: tuple[str, ...]


def known_stages(plan: RerankPlan) -> list[tuple[str, ...]]:
    """What can be asked for, the best last: stage 1 alone, or with a stage 2 behind it; a cross-encoder also alone."""
    found: list[tuple[str, ...]] = [(LATE,)]
    if "rerank2" in plan.ranker.stages:
        found.append((LATE, LEARNED))
    return found if plan.reranker is None else [*found, (CROSS,), (LATE, CROSS)]


async def relevance(
    query: str,
    texts: Sequence[str],
    embedder: Embedder,
    tokenizer: Tokenizer,
    plan: RerankPlan,
    stages: Sequence[str] | None = None,
) -> Relevance:
    """stages: None takes the best, without stage 1 where a cross-encoder reads every text anyway.

    Raises ModelError, UnknownStages.
    """
    known = known_stages(plan)
    wanted = known[-1] if stages is None else tuple(stages)
    if wanted not in known:
        raise UnknownStages(f"stages must be one of {', '.join(str(list(each)) for each in known)}")
    if stages is None and wanted[-1] == CROSS and len(texts) <= STAGE_1_KEEPS:
        wanted = (CROSS,)
    if not texts:
        return Relevance(np.zeros(0, np.float32), wanted)
    if wanted == (CROSS,):
        return Relevance(await _read(plan, query, texts), wanted)
    stage = plan.ranker.stages["rerank2" if wanted[-1] == LEARNED else "rerank1"]
    scores = await _compared(query, texts, embedder, tokenizer, plan.late_interaction, stage)
    if wanted[-1] == CROSS:
        best = np.argsort(-scores, kind="stable")[:STAGE_1_KEEPS]
        read = await _read(plan, query, [texts[i] for i in best])
        scores = np.minimum(scores, read.min())  # what it has not read stands no higher than the least that it has
        scores[best] = read
    return Relevance(scores, wanted)


async def _read(plan: RerankPlan, query: str, texts: Sequence[str]) -> FloatArray:
    assert plan.reranker is not None
    return plan.reranker.probability(await plan.reranker.score(query, texts))


async def _compared(
    query: str, texts: Sequence[str], embedder: Embedder, tokenizer: Tokenizer, maxsim: MaxSim, stage: Stage
) -> FloatArray:
    asked = await embedder.embed_queries([query], tokens=True)
    given = await embedder.embed_documents(texts, tokens=True)
    if asked.tokens is None or given.tokens is None:
        raise TypeError(f"{embedder.name} gave no token vectors")
    dense: FloatArray = given.dense @ asked.dense[0]
    late = await asyncio.to_thread(_late, maxsim, asked.tokens[0], given.tokens)
    scores = {"dense": dense, "late": late}
    if asked.sparse is not None and given.sparse is not None:
        scores["sparse"] = _overlap(asked.sparse[0], given.sparse)
    terms, *words = await asyncio.to_thread(lambda: [tokenizer.terms(text) for text in (query, *texts)])
    return _probability(terms, words, scores, stage)


def _late(maxsim: MaxSim, query_tokens: FloatArray, tokens: Sequence[FloatArray]) -> FloatArray:
    return maxsim(query_tokens, [encode(rows) for rows in tokens])


def _overlap(query: Mapping[int, float], texts: Sequence[Mapping[int, float]]) -> FloatArray:
    """Inner products of lexical weights."""
    return np.array([sum(w * text.get(token, 0.0) for token, w in query.items()) for text in texts], np.float32)


def _probability(
    terms: Sequence[str], words: Sequence[Sequence[str]], scores: dict[str, FloatArray], stage: Stage
) -> FloatArray:
    unique = list(dict.fromkeys(terms))
    weights = inverse_frequency(unique, words)
    candidates = Candidates(
        documents=[str(i) for i in range(len(words))],
        scores={"bm25": bm25(terms, dict(zip(unique, weights.tolist(), strict=True)), words), **scores},
        texts=words,
    )
    asked = Query(unique, weights)
    return stage.probability(stage.order(candidates), asked, candidates)


def inverse_frequency(terms: Sequence[str], texts: Sequence[Sequence[str]]) -> FloatArray:
    """(len(terms),) float32: Lucene's idf over `texts`, as in retrieval/indexes/bm25.py."""
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
