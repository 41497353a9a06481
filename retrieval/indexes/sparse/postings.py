"""An immutable piece of the inverted index of learned token weights (see index.py), and how pieces merge."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray
from retrieval.passages.lexical_weights import decode_weights, is_whole


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """n passages with p postings of t distinct tokens. The arrays are never changed once they are here.

    keys: (n,) int64, row -> key. by_key: (n,) int32, rows by ascending key. live: (n,) bool, False once removed.
    tokens: (t,) uint32 ascending. starts: (t + 1,) int64, where each token's postings begin.
    rows: (p,) int32, ascending within a token. weights: (p,) float16.
    """

    keys: NDArray[np.int64]
    by_key: NDArray[np.int32]
    live: NDArray[np.bool_]
    tokens: NDArray[np.uint32]
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    weights: NDArray[np.float16]

    @classmethod
    def build(cls, keys: Sequence[int], codes: Sequence[bytes]) -> Self:
        """codes: encode_weights of each key. Raises ValueError for bytes that are none."""
        if wrong := [key for key, code in zip(keys, codes, strict=True) if not is_whole(code)]:
            raise ValueError(f"the token weights of passage {wrong[0]} are damaged")
        counts, ids, weights = decode_weights(codes)
        order = np.argsort(ids, kind="stable")
        tokens, counted = np.unique(ids, return_counts=True)
        rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return cls._of(np.array(keys, np.int64), tokens, _starts(counted), rows[order], weights[order])

    @classmethod
    def _of(
        cls,
        keys: NDArray[np.int64],
        tokens: NDArray[np.uint32],
        starts: NDArray[np.int64],
        rows: NDArray[np.int32],
        weights: NDArray[np.float16],
    ) -> Self:
        by_key = np.argsort(keys, kind="stable").astype(np.int32)
        return cls(keys, by_key, np.ones(len(keys), np.bool_), tokens, starts, rows, weights)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """What Segment(*arrays) is made of."""
        return self.keys, self.by_key, self.live, self.tokens, self.starts, self.rows, self.weights

    def check(self) -> None:
        """Raises ValueError where the arrays do not belong together."""
        counts = np.diff(self.starts)
        fit = len(self.by_key) == len(self.live) == len(self.keys) and len(self.rows) == len(self.weights)
        inside = (
            fit
            and len(counts) == len(self.tokens)
            and (self.starts[0], self.starts[-1]) == (0, len(self.rows))
            and (counts > 0).all()
            and ((self.rows >= 0) & (self.rows < len(self))).all()
            and np.array_equal(np.sort(self.by_key), np.arange(len(self)))
        )
        if not inside:
            raise ValueError("the arrays of a segment do not belong together")

    def rows_of(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """(len(keys),) the row of each, -1 for a key that is not here or was removed."""
        if not len(self):
            return np.full(len(keys), -1, np.int32)
        place = np.searchsorted(self.keys, keys, sorter=self.by_key)
        rows = self.by_key[np.minimum(place, len(self) - 1)]
        return np.where((self.keys[rows] == keys) & self.live[rows], rows, np.int32(-1))

    def without(self, keys: NDArray[np.int64]) -> "Segment":
        rows = self.rows_of(keys)
        if not (rows >= 0).any():
            return self
        live = self.live.copy()
        live[rows[rows >= 0]] = False
        return replace(self, live=live)

    def products(self, tokens: NDArray[np.uint32], weights: FloatArray) -> FloatArray:
        """(n,) inner products with a query, removed rows included. tokens: distinct, ascending."""
        found = np.zeros(len(self), np.float32)
        for weight, first, last in self._lists(tokens, weights):
            np.add.at(found, self.rows[first:last], self.weights[first:last].astype(np.float32) * weight)
        return found

    def products_of(self, rows: NDArray[np.int32], tokens: NDArray[np.uint32], weights: FloatArray) -> FloatArray:
        """(len(rows),) the same, to the last bit, of some rows alone."""
        found = np.zeros(len(rows), np.float32)
        for weight, first, last in self._lists(tokens, weights):
            posted = self.rows[first:last]
            place = np.minimum(np.searchsorted(posted, rows), len(posted) - 1)
            here = posted[place] == rows
            found[here] += self.weights[first:last][place[here]].astype(np.float32) * weight
        return found

    def _lists(self, tokens: NDArray[np.uint32], weights: FloatArray) -> Iterator[tuple[np.float32, int, int]]:
        """(query weight, first, last posting) of the query's tokens that are here; never an empty list."""
        place = np.searchsorted(self.tokens, tokens)
        for i, at in enumerate(place.tolist()):
            if at < len(self.tokens) and self.tokens[at] == tokens[i]:
                yield weights[i], int(self.starts[at]), int(self.starts[at + 1])


def merged(segments: Collection[Segment]) -> Segment:
    """One segment of all their live rows, in linear time: every posting's new place is counted, nothing is sorted."""
    parts = [_compact(segment) for segment in segments]
    tokens, inverse = np.unique(np.concatenate([part.tokens for part in parts]), return_inverse=True)
    ends = np.cumsum([len(part.tokens) for part in parts])[:-1]
    places = np.split(inverse, ends)  # of each part's tokens among all tokens
    counts = [np.diff(part.starts) for part in parts]
    total = np.zeros(len(tokens), np.int64)
    for place, count in zip(places, counts, strict=True):
        total[place] += count
    starts = _starts(total)
    rows = np.empty(int(starts[-1]), np.int32)
    weights = np.empty(len(rows), np.float16)
    free, first_row = starts[:-1].copy(), 0
    for part, place, count in zip(parts, places, counts, strict=True):
        target = np.repeat(free[place] - part.starts[:-1], count) + np.arange(len(part.rows))
        rows[target] = part.rows + np.int32(first_row)
        weights[target] = part.weights
        free[place] += count
        first_row += len(part)
    return Segment._of(np.concatenate([part.keys for part in parts]), tokens, starts, rows, weights)


def _compact(segment: Segment) -> Segment:
    """Without the removed rows."""
    if segment.live.all():
        return segment
    renumbered = np.cumsum(segment.live, dtype=np.int32) - 1
    kept = segment.live[segment.rows]
    counts = np.add.reduceat(kept, segment.starts[:-1], dtype=np.int64) if len(kept) else np.zeros(0, np.int64)
    there = counts > 0
    rows = renumbered[segment.rows[kept]].astype(np.int32)
    keys, weights = segment.keys[segment.live], segment.weights[kept]
    return Segment._of(keys, segment.tokens[there], _starts(counts[there]), rows, weights)


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
