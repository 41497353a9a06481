"""A query's rarest terms: of the few passages that hold one, the best is always among the first. Pure.

An exact name or a code is what was asked for, however little else of the passage fits. The dense leg and late
interaction see pieces of words only (docs/quality.md has how often that put such a passage below the first ten).
"""

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from retrieval.ranking.rerank import Positions

K = TypeVar("K")

FEW = 3  # passages that hold a rare term, at most
TERMS = 3  # of equally rare ones, at most
FIRST = 8  # of the first ten, and of the evidence that an answer gets by default


def rarest(holders: Sequence[Sequence[K]]) -> list[Sequence[K]]:
    """holders: of each term. Those of the terms that the fewest hold, where these are few; [] where none is."""
    few = [each for each in holders if 0 < len(each) <= FEW]
    least = min(map(len, few), default=0)
    return [each for each in few if len(each) == least][:TERMS]


def within(order: Positions, holders: Sequence[Collection[int]], first: int) -> Positions:
    """The best of each of `holders` among the `first`: those that were not come at their end, for as many others.

    Where that is all right already, or there is no room for others beside them, `order` itself.
    """
    head = set(order[:first].tolist())
    best = [next((i for i in order.tolist() if i in each), None) for each in holders]
    late = [i for i in dict.fromkeys(best) if i is not None and i not in head]
    spare = [i for i in order[:first].tolist() if i not in best]
    if not late or first < FIRST:
        return order
    out = set(spare[-len(late) :])
    kept = [i for i in order[:first].tolist() if i not in out]
    rest = [i for i in order.tolist() if i in out or (i not in head and i not in late)]
    return np.array([*kept, *late, *rest], np.intp)
