"""float16 vectors under integer keys in FAISS, on the CPU: flat, or in inverted lists around trained centres.

float16 is what the store keeps, so nothing is lost here; it is half the memory of float32 and no slower with AVX2. In
lists the vectors are the same ones (not residuals, not 8-bit codes): scores stay exact, probing every list is an exact
search, and only which vectors a search meets is approximate. 8-bit codes were as fast and lost recall (docs/LOG.md).
"""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.base import FloatArray

Keys = NDArray[np.int64]

_SEARCH_THREADS = 1  # searches are many and short: they share cores better than one search does
_TRAINED_ON = 50  # vectors a list
_FEWEST_PROBES = 8
_MEASURED = 100  # queries, when recall is measured
_TRAINING_ROUNDS = 10


class Recall(NamedTuple):
    """Of approximate search: which share of the exact 10 best, and of the exact 100 best, it finds."""

    at_10: float
    at_100: float


_PIECE = 1 << 20  # bytes written at once


class FaissRows:
    """Not thread-safe while it is changed. `lists`: 0 while flat."""

    def __init__(self, dim: int, index: Any = None) -> None:
        self._faiss = _faiss()
        if index is None:
            flat = self._faiss.IndexScalarQuantizer(dim, self._half, self._faiss.METRIC_INNER_PRODUCT)
            index = self._faiss.IndexIDMap2(flat)
        self._index = index
        self.dim: int = index.d
        self.lists: int = getattr(index, "nlist", 0)

    @property
    def _half(self) -> Any:
        return self._faiss.ScalarQuantizer.QT_fp16

    @classmethod
    def in_lists(cls, lists: int, sample: FloatArray, stopped: Callable[[], bool] = lambda: False) -> Self | None:
        """Empty. The centres are learned from the rows of `sample` (see sample_size), in seconds to minutes; `stopped`
        is asked before each round, and None is what it leaves.
        """
        faiss, dim = _faiss(), sample.shape[1]
        faiss.omp_set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
        centres, clustering = faiss.IndexFlatIP(dim), faiss.Clustering(dim, lists)
        clustering.niter, clustering.spherical = 1, True
        for _ in range(_TRAINING_ROUNDS):
            if stopped():
                return None
            clustering.train(np.ascontiguousarray(sample, np.float32), centres)
        half, product = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexIVFScalarQuantizer(centres, dim, lists, half, product, False)
        index.own_fields = True
        centres.this.disown()
        index.train(sample[:1])  # nothing is left to learn
        index.set_direct_map_type(faiss.DirectMap.Hashtable)
        return cls(dim, index)

    @classmethod
    def load(cls, path: Path, dim: int) -> Self:
        """Raises FileNotFoundError; ValueError when the file is damaged or of another dimension."""
        if not path.exists():
            raise FileNotFoundError(path)
        try:
            index = _faiss().read_index(str(path))
        except RuntimeError as error:
            raise ValueError(f"{path.name} cannot be read: {error}") from error
        if index.d != dim:
            raise ValueError(f"{path.name} has {index.d} dimensions, not {dim}")
        return cls(dim, index)

    def save(self, path: Path) -> None:
        """By Python's own file, which raises OSError: FAISS's looks at no error when it flushes its buffer at the end,
        and on a full disk leaves an empty file without a word (faiss 1.14, FileIOWriter's destructor).
        """
        with path.open("wb", buffering=0) as file:

            def write(piece: bytes) -> int:
                left = memoryview(piece)
                while left:
                    left = left[file.write(left) :]
                return len(piece)

            self._faiss.write_index(self._index, self._faiss.PyCallbackIOWriter(write, _PIECE))

    def __len__(self) -> int:
        count: int = self._index.ntotal
        return count

    def keys(self) -> Keys:
        """In no order; a key that were here twice would be there twice."""
        if not self.lists:
            return np.array(self._faiss.vector_to_array(self._index.id_map), np.int64)
        held = self._index.invlists
        sizes = ((number, held.list_size(number)) for number in range(self.lists))
        parts = [self._faiss.rev_swig_ptr(held.get_ids(number), size).copy() for number, size in sizes if size]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def add(self, keys: Keys, vectors: FloatArray) -> None:
        """vectors: (len(keys), dim). None of the keys may be here."""
        self.change(np.zeros(0, np.int64), keys, vectors)

    def change(self, gone: Keys, new: Keys, vectors: FloatArray) -> None:
        """Keys of `gone` may be absent, keys of `new` must be. vectors: (len(new), dim)."""
        if len(gone):
            self._index.remove_ids(gone)
        if len(new):
            self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), new)

    def vectors(self, keys: Keys) -> FloatArray:
        """(len(keys), dim) of keys that are here."""
        found: FloatArray = self._index.reconstruct_batch(keys)
        return found

    @property
    def probes(self) -> int:
        """Lists that a search without a filter looks into."""
        count: int = self._index.nprobe
        return count

    def tune(self, wanted: float) -> Recall:
        """Sets `probes` to the fewest, in powers of two, with which a sample of the vectors, as queries, find at least
        this share of their exact 10 best; returns what they find.
        """
        keys = np.random.default_rng(1).permutation(self.keys())[:_MEASURED]
        queries = dict(zip(keys.tolist(), self.vectors(keys), strict=True))
        exact = [self._best(key, query, self.lists) for key, query in queries.items()]
        probes, recall = 0, Recall(0.0, 0.0)
        while probes < self.lists and (not probes or recall.at_10 < wanted):
            probes = min(self.lists, 2 * probes or _FEWEST_PROBES)
            found = [self._best(key, query, probes) for key, query in queries.items()]
            recall = Recall(_share(exact, found, 10), _share(exact, found, 100))
        self._index.nprobe = probes
        return recall

    def _best(self, key: int, query: FloatArray, probes: int) -> list[int]:
        """Without the vector that asks."""
        return [other for other in self.search(query, 101, probes=probes)[1].tolist() if other != key]

    def search(
        self, query: FloatArray, k: int, allowed: Keys | None = None, *, probes: int | None = None
    ) -> tuple[FloatArray, Keys]:
        """Scores and keys of the k best of `allowed` (None: of all), fewer only where there are no more.

        probes: lists to look into; by default `probes`, and more where a filter leaves few vectors in each, so that
        about as many vectors are met as without it.
        """
        self._faiss.omp_set_num_threads(_SEARCH_THREADS)  # OpenMP keeps this for each thread
        selector = None if allowed is None else self._selector(allowed)
        wanted = min(k, len(self) if allowed is None else len(allowed))
        if not self.lists:
            parameters = None if selector is None else self._faiss.SearchParameters(sel=selector)
            return self._found(query, k, parameters)
        share = 1.0 if allowed is None else len(allowed) / max(1, len(self))
        probes = min(self.lists, probes or math.ceil(self.probes / max(share, 1e-9)))
        while True:
            parameters = self._faiss.SearchParametersIVF(sel=selector, nprobe=probes)
            scores, keys = self._found(query, k, parameters)
            if len(keys) >= wanted or probes >= self.lists:
                return scores, keys
            probes = min(self.lists, 4 * probes)

    def _found(self, query: FloatArray, k: int, parameters: Any) -> tuple[FloatArray, Keys]:
        (scores,), (keys,) = self._index.search(np.ascontiguousarray(query[None], np.float32), k, params=parameters)
        return scores[keys >= 0], keys[keys >= 0]

    def _selector(self, allowed: Keys) -> Any:
        """One bit a key: keys count up from 1, so a million of them are 125 kB."""
        mask = np.zeros(int(allowed.max(initial=0)) + 1, np.bool_)
        mask[allowed] = True
        return self._faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def _share(exact: Sequence[Sequence[int]], found: Sequence[Sequence[int]], k: int) -> float:
    shares = [len({*a[:k]} & {*b[:k]}) / max(1, len(a[:k])) for a, b in zip(exact, found, strict=True)]
    return round(float(np.mean(shares)), 4)


def lists_for(count: int) -> int:
    """4 times the square root, with 39 vectors in each at least, as FAISS's guidelines have it."""
    return max(1, min(round(4 * math.sqrt(count)), count // 39))


def sample_size(lists: int) -> int:
    """Vectors that in_lists wants to see."""
    return _TRAINED_ON * lists


def _faiss() -> Any:
    import faiss

    return faiss
