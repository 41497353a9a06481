"""Ranking metrics and a paired test. Pure.

nDCG with gain 2^grade - 1 (Burges et al., ICML 2005), which equals the linear gain where grades are 0 and 1.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np


def ndcg(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    """0..1; 0 where nothing is relevant."""
    ideal = sorted(grades.values(), reverse=True)[:k]
    best = sum((2**grade - 1) / math.log2(rank + 2) for rank, grade in enumerate(ideal))
    got = sum((2 ** grades.get(name, 0) - 1) / math.log2(rank + 2) for rank, name in enumerate(ranked[:k]))
    return got / best if best else 0.0


def reciprocal_rank(ranked: Sequence[str], grades: Mapping[str, int], k: int = 10) -> float:
    return next((1 / (i + 1) for i, name in enumerate(ranked[:k]) if grades.get(name, 0) > 0), 0.0)


def recall(ranked: Sequence[str], grades: Mapping[str, int], k: int = 100) -> float:
    relevant = {name for name, grade in grades.items() if grade > 0}
    return len(relevant & set(ranked[:k])) / len(relevant) if relevant else 0.0


def randomisation_p(a: Sequence[float], b: Sequence[float], rounds: int = 5000, seed: int = 0) -> float:
    """Two-sided paired randomisation test (Smucker, Allan, Carterette, CIKM 2007) of mean(a) == mean(b)."""
    difference = np.asarray(a) - np.asarray(b)
    if not len(difference) or not difference.any():
        return 1.0
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(rounds, len(difference)))
    extreme = np.abs(signs @ difference) >= abs(difference.sum()) - 1e-12
    return float((extreme.sum() + 1) / (rounds + 1))
