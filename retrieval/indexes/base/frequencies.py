"""How rare terms are in what is searched."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.base import FloatArray


@dataclass(frozen=True, slots=True)
class Frequencies:
    """documents: of the index. holding: how many of them hold each of the terms that were asked for."""

    documents: int
    holding: tuple[int, ...]

    def __add__(self, other: "Frequencies") -> "Frequencies":
        """Of both together. other: of the same terms."""
        both = zip(self.holding, other.holding, strict=True)
        return Frequencies(self.documents + other.documents, tuple(a + b for a, b in both))

    def idf(self) -> FloatArray:
        """(terms,) ln(1 + (n - df + 0.5) / (df + 0.5)), Lucene's: above 0 for every term; 0 where there is nothing."""
        if not self.documents:
            return np.zeros(len(self.holding), np.float32)
        n = self.documents
        return np.array([math.log1p((n - df + 0.5) / (df + 0.5)) for df in self.holding], np.float32)


def together(found: Sequence[Frequencies | None], terms: int) -> Frequencies:
    """Of all that there are. terms: how many were asked for."""
    return sum((each for each in found if each is not None), Frequencies(0, (0,) * terms))
