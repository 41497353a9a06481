"""The learning in scripts/fit_ranker.py: order, calibration and floor from examples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
from scipy.optimize import minimize

from models.base import FloatArray
from ranking.data import Example
from retrieval.evaluation.metrics import ndcg
from retrieval.ranking.ranker import strangeness

RELATIVE = {
    "rerank1": ("bm25", "dense", "late"),
    "rerank2": ("bm25", "dense", "late", "bm25_in_doubt", "rare_siblings"),
}
# Beside these where the embedder gives lexical weights.
LEXICAL_RELATIVE, LEXICAL_SIGNS = ("sparse",), ("sparse_best", "sparse_lead")
LEG_SIGNS = ("bm25_best", "dense_best", "bm25_lead", "dense_lead", "coverage_best", "agreement", "terms")
SIGNS = {"fused": LEG_SIGNS, "rerank1": (*LEG_SIGNS, "late_best", "late_lead")}
SIGNS["rerank2"] = SIGNS["rerank1"]
PRIOR = {"bm25": 0.6, "dense": 0.5, "late": 1.2}
# BGE-M3's own weights, dense : sparse : late = 1 : .3 : 1 (arXiv 2402.03216), at the same sum.
LEXICAL_PRIOR = {"bm25": 0.6, "dense": 0.85, "sparse": 0.25, "late": 0.85}
LEGS = {"bm25": 0.5, "dense": 0.5}
LEG_STEP = 0.1
# Pull towards the prior, chosen on left-out sets.
PULL = {"bm25": 0.05, "dense": 0.05, "sparse": 0.05, "late": 0.05}
PULL_OTHERS = 0.02
ANSWERED = 0.97
CALIBRATION_STRENGTH = 0.001
CALIBRATED_CANDIDATES = 30
HEAD = 30


@dataclass(frozen=True, slots=True)
class Fitted:
    stages: dict[str, dict[str, Any]]
    floor: float = 0.0

    @property
    def legs(self) -> dict[str, float]:
        legs: dict[str, float] = self.stages["fused"]["relative"]
        return legs

    def order(self, stage: str, example: Example) -> FloatArray:
        weights = self.stages[stage]["relative"]
        if stage == "fused" and weights == LEGS:
            return example.fused
        return np.sum([example.relative[name] * weight for name, weight in weights.items()], axis=0)

    def ranked(self, stage: str, example: Example) -> list[str]:
        """Documents as the pipeline would order them: stage 2 sees stage 1's head only."""
        order = np.argsort(-self.order(stage, example), kind="stable")
        if stage == "rerank2":
            first = np.argsort(-self.order("rerank1", example), kind="stable")
            head = first[:HEAD]
            order = np.concatenate([head[np.argsort(-self.order(stage, example)[head], kind="stable")], first[HEAD:]])
        return list(dict.fromkeys(example.names[i] for i in order))

    def best(self, stage: str, example: Example) -> float:
        """The probability of the best candidate."""
        fitted = self.stages[stage]
        logit = fitted["bias"] + sum(example.signs[name] * weight for name, weight in fitted["signs"].items())
        logit -= strangeness(example.signs.get("known", 1.0), len(example.fused))
        return float(1 / (1 + np.exp(-logit)))


def weights_by_set(data: Sequence[Example]) -> FloatArray:
    """Sets count by the root of their size, so that neither the largest decides nor the smallest shouts."""
    sizes = {name: sum(e.set_name == name for e in data) for name in {e.set_name for e in data}}
    weights = np.array([1 / np.sqrt(sizes[e.set_name]) for e in data])
    return weights / weights.sum()


def fit_order(data: Sequence[Example], names: Sequence[str]) -> dict[str, float]:
    """Listwise softmax cross-entropy (ListNet's top-one form): the relevant ones' share of probability."""
    data = [e for e in data if e.answerable and e.grades.any()]
    columns = [np.stack([e.relative[name] for name in names], axis=1) for e in data]
    relevant = [e.grades > 0 for e in data]
    weights = weights_by_set(data)
    expected = LEXICAL_PRIOR if "sparse" in names else PRIOR
    prior = np.array([expected.get(name, 0.0) for name in names])
    pull = np.array([PULL.get(name, PULL_OTHERS) for name in names])

    def loss(w: FloatArray) -> tuple[float, FloatArray]:
        total, gradient = 0.0, np.zeros_like(w)
        for x, hit, weight in zip(columns, relevant, weights, strict=True):
            logits = x @ w
            exponent = np.exp(logits - logits.max())
            share = exponent[hit].sum() / exponent.sum()
            total -= weight * np.log(share + 1e-12)
            gradient += weight * (x.T @ (exponent / exponent.sum()) - x[hit].T @ (exponent[hit] / exponent[hit].sum()))
        return total + (pull * (w - prior) ** 2).sum(), gradient + 2 * pull * (w - prior)

    return dict(zip(names, minimize(loss, prior, jac=True, method="L-BFGS-B").x.tolist(), strict=True))


def fit_calibration(data: Sequence[Example], fitted: Fitted, stage: str) -> None:
    """Logistic regression of "relevant" on the order and the signs, over the best candidates, refusals included."""
    names = (*SIGNS[stage], *(LEXICAL_SIGNS if lexical(data) else ()))
    rows, labels, weights = [], [], []
    for example, weight in zip(data, weights_by_set(data), strict=True):
        order = fitted.order(stage, example)
        best = np.argsort(-order)[:CALIBRATED_CANDIDATES]
        shared = [example.signs[name] for name in names]
        rows += [[order[i] - order[best[0]], *shared, 1.0] for i in best]
        labels += (example.grades[best] > 0).tolist()
        # The first candidate counts as much as all others together: it is the one that decides on "no answer".
        weights += [weight * (0.5 if rank == 0 else 0.5 / max(len(best) - 1, 1)) for rank in range(len(best))]
    x, y, w = np.array(rows), np.array(labels, float), np.array(weights)
    centre, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    centre[-1], spread[-1] = 0.0, 1.0
    z = (x - centre) / spread

    def loss(v: FloatArray) -> tuple[float, FloatArray]:
        logits = z @ v
        p = 1 / (1 + np.exp(-logits))
        value = (w * (np.logaddexp(0, logits) - y * logits)).sum() + CALIBRATION_STRENGTH * (v[:-1] ** 2).sum()
        gradient = z.T @ (w * (p - y))
        gradient[:-1] += 2 * CALIBRATION_STRENGTH * v[:-1]
        return value, gradient

    v = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    raw = v / spread
    fitted.stages[stage] |= {
        "slope": float(raw[0]),
        "signs": dict(zip(names, raw[1:-1].tolist(), strict=True)),
        "bias": float(v[-1] - (v[:-1] * centre[:-1] / spread[:-1]).sum()),
        "neutral": {name: fmean(e.signs[name] for e in data) for name in names if compares(name)},
    }


def compares(sign: str) -> bool:
    """Whether it compares candidates with each other, and so says nothing of a few (see settled)."""
    return sign == "agreement" or sign.endswith("_lead")


def lexical(data: Sequence[Example]) -> bool:
    """Whether there is a learned lexical leg."""
    return "sparse" in data[0].legs


def without_sparse(data: Sequence[Example]) -> list[Example]:
    """The same candidates as if there were no learned lexical leg."""
    gone = {*LEXICAL_RELATIVE, *LEXICAL_SIGNS}
    return [
        replace(
            example,
            relative={name: values for name, values in example.relative.items() if name not in gone},
            signs={name: value for name, value in example.signs.items() if name not in gone},
            legs={name: ranked for name, ranked in example.legs.items() if name not in gone},
            fused=sum((example.relative[leg] * np.float32(weight) for leg, weight in LEGS.items()), np.float32(0)),
        )
        for example in data
    ]


def fit(data: Sequence[Example]) -> Fitted:
    more = LEXICAL_RELATIVE if lexical(data) else ()
    fitted = Fitted({"fused": {"relative": choose_legs(data) if more else LEGS}})
    for stage, names in RELATIVE.items():
        fitted.stages[stage] = {"relative": fit_order(data, (*names, *more))}
    for stage in SIGNS:
        fit_calibration(data, fitted, stage)
    return Fitted(fitted.stages, choose_floor(data, fitted))


def choose_legs(data: Sequence[Example]) -> dict[str, float]:
    """Of all weights of three legs, in tenths, those with the best nDCG@10, sets counted alike."""
    answerable = [example for example in data if example.answerable]
    count = round(1 / LEG_STEP)
    grid = [
        {"bm25": b * LEG_STEP, "dense": d * LEG_STEP, "sparse": (count - b - d) * LEG_STEP}
        for b in range(count + 1)
        for d in range(count + 1 - b)
    ]

    def quality(legs: dict[str, float]) -> float:
        fused = Fitted({"fused": {"relative": legs}})
        by_set: dict[str, list[float]] = {}
        for example in answerable:
            by_set.setdefault(example.set_name, []).append(ndcg(fused.ranked("fused", example), example.gold))
        return fmean(fmean(values) for values in by_set.values())

    return max(grid, key=quality)


def choose_floor(data: Sequence[Example], fitted: Fitted) -> float:
    """The highest threshold that still answers 97 % of the answerable queries, sets counted alike.

    A refused question is a user turned away; a weak answer still shows its evidence.
    """
    sets = sorted({e.set_name for e in data})
    best = {name: [fitted.best("rerank2", e) for e in data if e.set_name == name and e.answerable] for name in sets}
    thresholds = np.linspace(0.01, 0.6, 60)
    answered = [fmean(fmean(p >= floor for p in best[name]) for name in sets) for floor in thresholds]
    return float(max((f for f, share in zip(thresholds, answered, strict=True) if share >= ANSWERED), default=0.0))
