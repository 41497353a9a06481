"""The dense leg: inner product over float16 vectors, one index a vector store, filters evaluated inside.

Exact as long as that is fast: on the CPU to some hundred thousand vectors, on a GPU, where a copy of the vectors is
searched, to some million. Beyond, the vectors are regrouped into inverted lists, and how much of the exact result these
find is measured on the index's own vectors each time. The CPU side holds everything, whatever searches: it is what is
saved, and what answers when the device fails.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from models.base import FloatArray
from retrieval.indexes.base.atomic import replace_file
from retrieval.indexes.base.following import FollowingIndex, PassageReader
from retrieval.indexes.base.leg import LocalLeg
from retrieval.indexes.dense.device_copy import DeviceCopy, OpenRows, on_torch
from retrieval.indexes.dense.faiss_rows import FaissRows, Keys, Recall, lists_for, sample_size
from retrieval.indexes.dense.read_write_lock import ReadWriteLock
from retrieval.types import Hit, QueryVectors

log = logging.getLogger("ragpod.dense")

_BATCH = 50_000  # vectors moved at a time
_GROWN = 1.4  # lists are made anew when this many times as many are due: of many vectors, with twice as many


@dataclass(frozen=True, slots=True)
class DenseConfig:
    """How vectors are searched.

    device: "cpu", or a torch device ("cuda", "cuda:1") that holds a copy for exact search. exact_up_to: vectors; above,
    search is approximate, in lists on the CPU; None: 5,000,000 while a device searches, 250,000 on the CPU. recall:
    share of the exact 10 best that lists must find, of the index's own vectors as queries.
    """

    device: str = "cpu"
    exact_up_to: int | None = None
    recall: float = 0.99

    def exact_limit(self, *, on_device: bool) -> int:
        if self.exact_up_to is not None:
            return self.exact_up_to
        return 5_000_000 if on_device else 250_000


class DenseIndex(FollowingIndex[tuple[Sequence[int], FloatArray]]):
    """Searches run beside each other, changes run alone. open_copy: the rows on a device other than the CPU."""

    name = "dense"
    file = "dense.faiss"
    source = "vectors"

    def __init__(self, dim: int, config: DenseConfig | None = None, open_copy: OpenRows = on_torch) -> None:
        self.dim = dim
        self._applied = 0
        self._recall: Recall | None = None
        self._config = config or DenseConfig()
        self._open_copy = open_copy
        self._lock = ReadWriteLock()
        self._keys: set[int] = set()
        self._rows = FaissRows(dim)
        self._copy = self._copied()
        self._regrouping = threading.Lock()
        self._late_gone, self._late_new = set[int](), set[int]()  # since a regrouping began

    @classmethod
    def open(cls, path: Path, dim: int, config: DenseConfig | None = None) -> Self:
        try:
            return cls.load(path, dim, config)
        except FileNotFoundError:
            return cls(dim, config)

    @classmethod
    def load(cls, path: Path, dim: int, config: DenseConfig | None = None, open_copy: OpenRows = on_torch) -> Self:
        """Raises FileNotFoundError; ValueError when the file is damaged or of another dimension."""
        applied = int(_seq_file(path).read_text("ascii"))
        rows = FaissRows.load(path, dim)
        loaded = cls(dim, config, open_copy)
        loaded._rows, loaded._keys, loaded._applied = rows, set(rows.keys().tolist()), applied
        if rows.lists and _recall_file(path).exists():
            loaded._recall = Recall(*map(float, _recall_file(path).read_text("ascii").split()))
        loaded._copy = loaded._copied()
        return loaded

    def save(self, path: Path) -> None:
        """The seq is written after the vectors: a crash between them applies the tail twice, to no effect."""
        with self._lock.reading():
            applied, recall = self._applied, self._recall
            replace_file(path, self._rows.save)
        if recall is not None:
            replace_file(_recall_file(path), lambda new: new.write_text(f"{recall.at_10} {recall.at_100}", "ascii"))
        replace_file(_seq_file(path), lambda new: new.write_text(str(applied), "ascii"))

    @staticmethod
    def erase(path: Path) -> None:
        for each in (path, _seq_file(path), _recall_file(path)):
            each.unlink(missing_ok=True)

    @property
    def applied(self) -> int:
        return self._applied

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def exact(self) -> bool:
        """Lists are no hindrance, where there are few vectors by now: all lists are probed."""
        return self.on_device or not self._rows.lists or len(self) <= self._exact_limit

    @property
    def recall(self) -> Recall | None:
        """Of the lists, as it was measured when they were made; None while search is exact."""
        return None if self.exact else self._recall

    @property
    def recall_at_10(self) -> float | None:
        return None if (recall := self.recall) is None else recall.at_10

    @property
    def _exact_limit(self) -> int:
        return self._config.exact_limit(on_device=self.on_device)

    @property
    def layout(self) -> str:
        """What a search looks at, in words."""
        if self.on_device:
            return f"all, on {self._config.device}"
        return "all" if self.exact else f"{self._rows.probes} of {self._rows.lists} lists"

    @property
    def on_device(self) -> bool:
        """Whether a device other than the CPU answers."""
        return self._copy is not None and self._copy.usable

    def keys(self) -> list[int]:
        with self._lock.reading():
            return sorted(self._rows.keys().tolist())

    def payload(self, passages: PassageReader, keys: Sequence[int]) -> tuple[Sequence[int], FloatArray]:
        """n keys and their vectors, (n, dim)."""
        return passages.vectors(keys, self.dim)

    def apply(self, seq: int, payload: tuple[Sequence[int], FloatArray], removed: Collection[int]) -> None:
        keys, vectors = payload
        if vectors.shape != (len(keys), self.dim):
            raise ValueError(f"{vectors.shape} vectors for {len(keys)} keys of {self.dim} dimensions")
        with self._lock.writing():
            gone = self._keys.intersection(removed)
            new = {key: i for i, key in enumerate(keys) if key not in self._keys or key in gone}
            changes = _array(gone), _array(new), vectors[list(new.values())]
            self._rows.change(*changes)
            if self._copy is not None:
                self._copy.change(*changes)
            self._keys -= gone
            self._keys.update(new)  # `|=` with a view would copy every key
            if self._regrouping.locked():
                self._late_gone |= gone
                self._late_new.update(new)
            self._applied = seq

    def leg(self, query: QueryVectors) -> LocalLeg | None:
        if not len(query.dense):  # there is no embedder of this index's vectors
            return None
        return LocalLeg(self.name, partial(self.search, query.dense), partial(self.scores, query.dense))

    def search(self, query: FloatArray, k: int, allowed: Collection[int] | None = None) -> list[Hit]:
        """The k best by inner product, best first, ties by key. query: (dim,). allowed: None is everything."""
        self._check(query)
        passing = allowed if allowed is None or isinstance(allowed, Set) else frozenset(allowed)
        with self._lock.reading():
            k = min(k, len(self._keys) if passing is None else len(passing))
            if k <= 0:
                return []
            wanted = None if passing is None else _array(passing)
            found = self._copy.search(query, k, passing, wanted) if self._copy is not None else None
            probes = self._rows.lists if self.exact else None
            scores, keys = found or self._rows.search(query, k, wanted, probes=probes)
        hits = [Hit(key, score) for key, score in zip(keys.tolist(), scores.tolist(), strict=True)]
        return sorted(hits, key=lambda hit: (-hit.score, hit.key))

    def scores(self, query: FloatArray, keys: Sequence[int]) -> FloatArray:
        """(len(keys),) inner products, the same as search gives; 0 for a key that is not there."""
        self._check(query)
        found = np.zeros(len(keys), np.float32)
        with self._lock.reading():
            present = [i for i, key in enumerate(keys) if key in self._keys]
            if present:
                rows = self._rows.vectors(np.array([keys[i] for i in present], np.int64))
                found[present] = rows @ query.astype(np.float32)
        return found

    @property
    def outgrown(self) -> bool:
        """Whether `regroup` is due: too many vectors for an exact search, or for the lists that there are."""
        return len(self) > self._exact_limit and lists_for(len(self)) >= _GROWN * self._rows.lists

    def regroup(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Groups the vectors into lists, enough for their number. Takes minutes at a million; searches and changes go
        on beside it. False, without effect, where another call is at it or `stopped` says so.
        """
        if not self._regrouping.acquire(blocking=False):
            return False
        try:
            since = time.monotonic()
            if (rows := self._grouped(stopped)) is None:
                return False
            recall = rows.tune(self._config.recall)
            with self._lock.writing():
                missing = _array(self._late_new - self._late_gone)
                rows.change(_array(self._late_gone), missing, self._rows.vectors(missing))
                self._rows, self._copy, self._recall = rows, None, recall
            message = (
                "%d vectors are searched in %s: recall@10 %.4f, recall@100 %.4f with themselves as queries; %.1f s"
            )
            log.info(message, len(self), self.layout, *recall, time.monotonic() - since)
            return True
        finally:
            self._regrouping.release()

    def _grouped(self, stopped: Callable[[], bool]) -> FaissRows | None:
        """What is here now, in lists; what comes and goes from now on is in _late_gone and _late_new."""
        with self._lock.reading():
            self._late_gone, self._late_new = set(), set()
            keys = self._rows.keys()
            lists = lists_for(len(keys))
            sample = self._rows.vectors(np.random.default_rng(0).permutation(keys)[: sample_size(lists)])
        if (rows := FaissRows.in_lists(lists, sample, stopped)) is None:
            return None
        for first in range(0, len(keys), _BATCH):
            if stopped():
                return None
            with self._lock.reading():
                batch = keys[first : first + _BATCH]
                batch = batch[[key not in self._late_gone for key in batch.tolist()]]
                vectors = self._rows.vectors(batch)
            rows.add(batch, vectors)
        return rows

    def _copied(self) -> DeviceCopy | None:
        """On the device, where the configuration has one and search is to be exact."""
        if self._config.device == "cpu" or len(self) > self._config.exact_limit(on_device=True):
            return None
        copy = DeviceCopy(self.dim, self._config.device, self._open_copy)
        keys, none = self._rows.keys(), _array(())
        for first in range(0, len(keys), _BATCH):
            batch = keys[first : first + _BATCH]
            copy.change(none, batch, self._rows.vectors(batch))
        return copy

    def _check(self, query: FloatArray) -> None:
        if query.shape != (self.dim,):
            raise ValueError(f"a query vector of shape {query.shape}, not ({self.dim},)")


def _array(keys: Collection[int]) -> Keys:
    return np.fromiter(keys, np.int64, len(keys))


def _seq_file(path: Path) -> Path:
    return path.with_suffix(".seq")


def _recall_file(path: Path) -> Path:
    return path.with_suffix(".recall")
