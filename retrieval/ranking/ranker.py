"""The learned part of ranking: a linear order of a query's candidates and its calibration to a probability.

order = relative features . weights; probability = sigmoid(slope * (order - best order) + signs . weights + bias), less
where hardly a word of the question is known. The signs are the same for all candidates of a query, so the probability
never changes the order; for the best candidate they alone decide, so that a threshold means the same in a store of
fifty passages and of a million. Fitted by scripts/fit_ranker.py. Gradient-boosted trees on the same features lost to it
on left-out sets (docs/LOG.md).
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from models.base import FloatArray
from retrieval.ranking.features import Candidates, Query, relative, signs

_ENOUGH = 10
_KNOWN = 0.3  # of the question's words, by idf: fewer, and it is hardly about these documents
_STRANGE = 4.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's weights: feature name -> weight. One whose leg did not run adds nothing. neutral: see `settled`."""

    relative: Mapping[str, float]
    slope: float
    signs: Mapping[str, float]
    bias: float
    neutral: Mapping[str, float] = field(default_factory=dict)

    def order(self, candidates: Candidates) -> FloatArray:
        """(n,) float32; higher is better; comparable only inside this query."""
        columns = relative(candidates)
        weighted = [columns[name] * np.float32(weight) for name, weight in self.relative.items() if name in columns]
        order: FloatArray = np.sum(weighted, axis=0, dtype=np.float32)
        return order

    def probability(self, order: FloatArray, query: Query, candidates: Candidates) -> FloatArray:
        """(n,) float32 in 0..1: how likely each candidate answers the query, in the order of `order`."""
        if not len(order):
            return order
        found = settled(signs(query, candidates), self.neutral, len(candidates))
        shared = sum(found[name] * weight for name, weight in self.signs.items() if name in found)
        logit = self.slope * (order - order.max()) + shared + self.bias - strangeness(found["known"], len(candidates))
        probability: FloatArray = (1 / (1 + np.exp(-logit))).astype(np.float32)
        return probability


def strangeness(known: float, count: int) -> float:
    """What a question loses of its logit where most of its words stand nowhere: one rare word in common with a single
    passage looks like a find. A rule rather than a weight, as no weighted sum that was fitted told these questions
    apart (docs/quality.md). known: see features.signs. In a store of a few passages words are missing by chance.
    """
    return _STRANGE * _trust(count) if known < _KNOWN else 0.0


def _trust(count: int) -> float:
    return min(1.0, (count - 1) / _ENOUGH)


def settled(found: Mapping[str, float], neutral: Mapping[str, float], count: int) -> dict[str, float]:
    """Signs that compare candidates with each other say nothing of one, and little of a few: below eleven candidates
    they are drawn towards the value that they have on average, so that a store of one document answers what it answers.
    """
    trust = _trust(count)
    return {name: trust * value + (1 - trust) * neutral.get(name, value) for name, value in found.items()}


@dataclass(frozen=True, slots=True)
class Ranker:
    """stages: by the last scorer that ran ("fused", "rerank1", "rerank2"). floor: the default no-answer threshold.

    legs: those that give candidates, where query and store have them, and their weights in the fusion; at 0 a leg gives
    candidates only.
    """

    stages: Mapping[str, Stage]
    legs: Mapping[str, float]
    floor: float

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Reads ranker.json beside this file, or `path`. Raises ValueError for a file of another shape."""
        path = path or Path(__file__).with_name("ranker.json")
        try:
            data = json.loads(path.read_text())
            stages = {name: Stage(**stage) for name, stage in data["stages"].items()}
            return cls(stages, data["legs"], data["floor"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a ranker file: {error!r}") from error

    @staticmethod
    def file_for(*, lexical: bool) -> Path:
        """The weights that belong to an embedder: BGE-M3's where it gives lexical weights."""
        return Path(__file__).with_name("ranker_bge_m3.json" if lexical else "ranker.json")

    def without(self, leg: str) -> Self:
        """As if there were no such leg; calibrated as it was with it."""
        of_leg = (leg, f"{leg}_best", f"{leg}_lead")
        stages = {
            name: replace(stage, relative=_left(stage.relative, of_leg), signs=_left(stage.signs, of_leg))
            for name, stage in self.stages.items()
        }
        return replace(self, stages=stages, legs=_left(self.legs, of_leg))


def _left(weights: Mapping[str, float], names: Collection[str]) -> dict[str, float]:
    return {name: weight for name, weight in weights.items() if name not in names}
