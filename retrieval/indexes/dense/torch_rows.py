"""float16 vectors under integer keys on a torch device, searched exactly: one product with the whole matrix.

Chosen over the FAISS GPU indexes: the ones in its pip wheel accept a filter and ignore it, want CUDA 12 libraries
beside torch's 13, and install the same module as faiss-cpu, which the default install has. Here a filter is a mask on
the device, a removed vector too, and reading the matrix bounds the time either way: n * dim * 2 bytes a search.
"""

from typing import Any

import numpy as np

from models.base import FloatArray
from models.torch.torch_device import choose_device, import_torch
from retrieval.indexes.dense.faiss_rows import Keys

_SPARE = 1.5  # capacity, when the matrix must grow
_DEAD_SHARE = 4  # the matrix is packed when one row in so many is dead
# What float16 may put a score off by, as a share of both lengths: the query rounded, the products' sums, the score.
_HALF_ERROR = 2.0**-8
_RESCORED = 1 << 16  # rows turned to float32 at a time


class TorchRows:
    """Not thread-safe while it is changed.

    device: see choose_device. Raises Unavailable; later RuntimeError, when the memory there is full.
    """

    def __init__(self, dim: int, device: str) -> None:
        self._torch = torch = import_torch()
        place = choose_device(device)
        self._rows = torch.empty((0, dim), dtype=torch.float16, device=place)
        self._keys = torch.empty(0, dtype=torch.int64, device=place)
        self._live = torch.empty(0, dtype=torch.bool, device=place)
        self._used = 0
        self._dead = 0
        self._largest_key = 0
        self._longest = 0.0

    def __len__(self) -> int:
        return self._used - self._dead

    def add(self, keys: Keys, vectors: FloatArray) -> None:
        """vectors: (len(keys), dim). None of the keys may be here."""
        if not len(keys):
            return
        end = self._used + len(keys)
        if end > len(self._keys):
            self._move(self._torch.arange(self._used, device=self._keys.device), int(_SPARE * end))
        self._rows[self._used : end] = self._put(np.asarray(vectors, np.float16))
        self._keys[self._used : end] = self._put(keys)
        self._live[self._used : end] = True
        self._used = end
        self._largest_key = max(self._largest_key, int(keys.max()))
        self._longest = max(self._longest, float(np.linalg.norm(vectors, axis=1).max()))

    def remove(self, keys: Keys) -> None:
        gone = self._among(keys) & self._live[: self._used]
        self._live[: self._used] &= ~gone
        self._dead += int(gone.sum())
        if self._dead * _DEAD_SHARE > self._used:
            self._move(self._live[: self._used].nonzero()[:, 0], self._used - self._dead)
            self._dead = 0

    def search(self, query: FloatArray, k: int, allowed: Keys | None = None) -> tuple[FloatArray, Keys]:
        """Scores and keys of the k best of `allowed` (None: of all), best first, ties by key.

        Scores in float16 choose a longer list; that is scored in float32, and grows until no row outside it can belong.
        """
        torch = self._torch
        asked = self._put(np.asarray(query, np.float32))
        rough = torch.mv(self._rows[: self._used], asked.half()).float()
        passing = self._live[: self._used]
        if allowed is not None:
            passing = passing & self._among(allowed)
        rough.masked_fill_(~passing, -torch.inf)
        there = int(passing.sum())
        k = min(k, there)
        if k <= 0:
            return np.zeros(0, np.float32), np.zeros(0, np.int64)
        margin = _HALF_ERROR * self._longest * float(np.linalg.norm(query))
        taken = min(there, 4 * k + 64)
        while True:
            values, places = torch.topk(rough, taken)
            scores: FloatArray = self._scores(places, asked).cpu().numpy()
            least = np.partition(scores, taken - k)[taken - k]
            if taken == there or float(values[-1]) + margin < least:
                break
            taken = min(there, 4 * taken)
        keys: Keys = self._keys[places].cpu().numpy()
        order = np.lexsort((keys, -scores))[:k]
        return scores[order], keys[order]

    def _scores(self, places: Any, query: Any) -> Any:
        parts = [self._rows[some].float() @ query for some in places.split(_RESCORED)]
        return self._torch.cat(parts)

    def _among(self, keys: Keys) -> Any:
        """(used,) bool on the device: one byte a key up to the largest, looked up by every row."""
        mask = self._torch.zeros(self._largest_key + 1, dtype=self._torch.bool, device=self._keys.device)
        mask[self._put(keys[(keys >= 0) & (keys <= self._largest_key)])] = True
        return mask[self._keys[: self._used]]

    def _move(self, places: Any, capacity: int) -> None:
        """Into new tensors, only the rows of `places`."""
        count = len(places)
        for name in ("_rows", "_keys", "_live"):
            old = getattr(self, name)
            new = old.new_empty((max(capacity, count), *old.shape[1:]))
            self._torch.index_select(old, 0, places, out=new[:count])
            setattr(self, name, new)
        self._used = count

    def _put(self, array: np.ndarray[Any, Any]) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self._keys.device)
