"""Joins the legs' scores of one query into one score. Pure.

Unweighted reciprocal rank fusion loses to one of its own legs on four of six sets (docs/LOG.md); the convex combination
of standardised exact scores is the default, RRF stands in where a leg has ranks but no exact scores.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from models.base import FloatArray

K = TypeVar("K", bound=Hashable)


def reciprocal_rank(lists: Sequence[Sequence[K]], k: int = 60) -> dict[K, float]:
    """Cormack, Clarke, Büttcher, SIGIR 2009: sum of 1 / (k + rank), ranks from 1.

    A key missing from a list gets nothing from it, so an empty list changes nothing.
    """
    fused: dict[K, float] = {}
    for ranking in lists:
        for rank, key in enumerate(ranking, start=1):
            fused[key] = fused.get(key, 0.0) + 1.0 / (k + rank)
    return fused


def standardised(scores: FloatArray) -> FloatArray:
    """Zero mean, unit deviation; a leg that tells nothing apart (or is empty) becomes zeros."""
    if not len(scores):
        return scores
    deviation = float(scores.std())
    if deviation < 1e-9:
        return np.zeros_like(scores)
    centred: FloatArray = ((scores - scores.mean()) / deviation).astype(np.float32)
    return centred


def convex(legs: Mapping[str, FloatArray], weights: Mapping[str, float]) -> FloatArray:
    """Weighted sum of standardised legs (Bruch, Gai, Ingber, TOIS 2023), each (n,) and exact for every candidate.

    Weights are normalised to sum 1 over the legs present. Raises KeyError for a leg without a weight.
    """
    total = sum(weights[name] for name in legs) or 1.0
    parts = [standardised(scores) * np.float32(weights[name] / total) for name, scores in legs.items()]
    return np.sum(parts, axis=0, dtype=np.float32) if parts else np.zeros(0, np.float32)
