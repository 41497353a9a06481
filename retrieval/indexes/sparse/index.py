"""The learned lexical leg: exact inner product over a model's own token weights (BGE-M3), in an inverted index.

Built as Lucene is: what is added becomes a small immutable segment, segments of like size are merged, so one passage
more in 100,000 rebuilds nothing and every posting is moved a logarithmic number of times. A search reads one tuple of
segments and takes no lock. In memory; weights are float16, as in the store.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray
from retrieval.indexes.base.atomic import replace_file
from retrieval.indexes.base.following import FollowingIndex, PassageReader
from retrieval.indexes.base.leg import LocalLeg
from retrieval.indexes.sparse.postings import Segment, merged
from retrieval.types import Hit, QueryVectors

_MAGIC = b"ragpod sparse 1\n"
_GROWTH = 2  # a segment is merged with the one before it when that is not this many times larger
_FEW_KEYS = 4096  # a filter of fewer keys is scored key by key


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What a search sees. segments: larger ones first."""

    segments: tuple[Segment, ...] = ()
    applied: int = 0


class SparseIndex(FollowingIndex[Sequence[tuple[int, bytes]]]):
    """In memory, until it is saved."""

    name = "sparse"
    file = "sparse.index"
    lexical = True
    source = "lexical_weights"

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._now = _Snapshot()

    @classmethod
    def open(cls, path: Path, dim: int) -> Self:
        try:
            return cls.load(path)
        except FileNotFoundError:
            return cls()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises FileNotFoundError; ValueError when the file is damaged."""
        loaded = cls()
        with path.open("rb") as file:
            try:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise ValueError("it is no sparse index")
                applied, count = np.load(file, allow_pickle=False).tolist()
                segments = [_read(file) for _ in range(count)]
            except (ValueError, TypeError, EOFError, IndexError) as error:
                raise ValueError(f"{path.name} cannot be read: {error}") from error
        loaded._now = _Snapshot(tuple(segments), applied)
        return loaded

    def save(self, path: Path) -> None:
        """Changes may go on meanwhile."""
        replace_file(path, lambda new: _write(self._now, new))

    @staticmethod
    def erase(path: Path) -> None:
        path.unlink(missing_ok=True)

    @property
    def applied(self) -> int:
        return self._now.applied

    def __len__(self) -> int:
        return sum(int(segment.live.sum()) for segment in self._now.segments)

    @property
    def segments(self) -> int:
        return len(self._now.segments)

    def keys(self) -> list[int]:
        found = [segment.keys[segment.live] for segment in self._now.segments]
        return sorted(np.concatenate(found).tolist()) if found else []

    def payload(self, passages: PassageReader, keys: Sequence[int]) -> Sequence[tuple[int, bytes]]:
        """(key, encode_weights)"""
        return passages.weights(keys)

    def apply(self, seq: int, payload: Sequence[tuple[int, bytes]], removed: Collection[int]) -> None:
        with self._changing:
            segments = list(self._now.segments)
            if removed:
                gone = np.fromiter(removed, np.int64, len(removed))
                segments = [segment.without(gone) for segment in segments]
            keys = np.fromiter((key for key, _ in payload), np.int64, len(payload))
            present = np.zeros(len(keys), np.bool_)
            for segment in segments:
                present |= segment.rows_of(keys) >= 0
            new = {key: code for (key, code), there in zip(payload, present.tolist(), strict=True) if not there}
            if new:
                segments.append(Segment.build(list(new), list(new.values())))
            self._now = _Snapshot(_tidied(segments), seq)

    def leg(self, query: QueryVectors) -> LocalLeg | None:
        if query.sparse is None:
            return None
        return LocalLeg(self.name, partial(self.search, query.sparse), partial(self.scores, query.sparse))

    def search(self, query: Mapping[int, float], k: int, allowed: Collection[int] | None = None) -> list[Hit]:
        """The k best by inner product, best first, ties by key; only passages that share a token with the query.

        allowed: None is everything.
        """
        asked = _arrays(query)
        if k <= 0 or not len(asked[0]):
            return []
        passing = None if allowed is None else _Filter.of(allowed)
        found = [_found(segment, *asked, k, passing) for segment in self._now.segments]
        if not found:
            return []
        keys, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((keys, -scores))[:k]
        return [Hit(key, score) for key, score in zip(keys[order].tolist(), scores[order].tolist(), strict=True)]

    def scores(self, query: Mapping[int, float], keys: Sequence[int]) -> FloatArray:
        """(len(keys),) inner products, the same as search gives; 0 for a key that is not there."""
        tokens, weights = _arrays(query)
        wanted = np.array(keys, np.int64)
        found = np.zeros(len(keys), np.float32)
        for segment in self._now.segments:
            rows = segment.rows_of(wanted)
            here = rows >= 0
            found[here] = segment.products_of(rows[here], tokens, weights)
        return found


def _arrays(query: Mapping[int, float]) -> tuple[NDArray[np.uint32], FloatArray]:
    ids = sorted(query)
    return np.array(ids, np.uint32), np.array([query[token] for token in ids], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Filter:
    """keys: (m,). mask: one byte a key up to the largest, for filters of many keys (keys count up from 1)."""

    keys: NDArray[np.int64]
    mask: NDArray[np.bool_] | None

    @classmethod
    def of(cls, allowed: Collection[int]) -> Self:
        keys = np.fromiter(allowed, np.int64, len(allowed))
        if len(keys) <= _FEW_KEYS:
            return cls(np.unique(keys), None)
        mask = np.zeros(int(keys.max()) + 1, np.bool_)
        mask[keys] = True
        return cls(keys, mask)


def _found(
    segment: Segment, tokens: NDArray[np.uint32], weights: FloatArray, k: int, passing: _Filter | None
) -> tuple[NDArray[np.int64], FloatArray]:
    """Keys and scores, all above 0, of a segment's k best, with all that tie with the last of them."""
    if passing is not None and passing.mask is None:
        rows = segment.rows_of(passing.keys)
        rows = rows[rows >= 0]
        scores = segment.products_of(rows, tokens, weights)
        rows, scores = rows[scores > 0], scores[scores > 0]
    else:
        scores = segment.products(tokens, weights)
        rows = np.flatnonzero((scores > 0) & segment.live).astype(np.int32)
        if passing is not None and passing.mask is not None:
            keys = segment.keys[rows]
            rows = rows[(keys < len(passing.mask)) & passing.mask[np.minimum(keys, len(passing.mask) - 1)]]
        scores = scores[rows]
    if len(rows) > k:
        best = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        rows, scores = rows[best], scores[best]
    return segment.keys[rows], scores


def _tidied(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Each _GROWTH times as large as the next at least, none of them half empty; by as few merges as that takes."""
    groups: list[list[Segment]] = []
    sizes: list[int] = []
    for segment in segments:
        group, size = [segment], int(segment.live.sum())
        while groups and sizes[-1] < _GROWTH * size:
            group, size = groups.pop() + group, sizes.pop() + size
        if size:
            groups.append(group)
            sizes.append(size)
    whole = (len(group) == 1 and 2 * size > len(group[0]) for group, size in zip(groups, sizes, strict=True))
    return tuple(group[0] if as_it_is else merged(group) for group, as_it_is in zip(groups, whole, strict=True))


def _write(snapshot: _Snapshot, path: Path) -> None:
    with path.open("wb") as file:
        file.write(_MAGIC)
        np.save(file, np.array([snapshot.applied, len(snapshot.segments)], np.int64))
        for segment in snapshot.segments:
            for array in segment.arrays:
                np.save(file, array)


def _read(file: BinaryIO) -> Segment:
    """Raises ValueError, EOFError."""
    segment = Segment(*(np.load(file, allow_pickle=False) for _ in fields(Segment)))
    segment.check()
    return segment
