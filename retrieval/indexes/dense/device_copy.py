"""A copy of the vectors on a device other than the CPU, used as long as it works and holds to filters."""

import logging
from collections.abc import Callable, Set
from typing import Protocol

from models.base import FloatArray
from retrieval.indexes.dense.faiss_rows import Keys

log = logging.getLogger("ragpod.dense")


class Rows(Protocol):
    """Vectors under keys, on some device. Every call may raise RuntimeError: the device is full, or gone."""

    def add(self, keys: Keys, vectors: FloatArray) -> None:
        """vectors: (len(keys), dim)."""
        ...

    def remove(self, keys: Keys) -> None: ...

    def search(self, query: FloatArray, k: int, allowed: Keys | None = None) -> tuple[FloatArray, Keys]:
        """Scores and keys of the k best of `allowed`; None is everything."""
        ...


OpenRows = Callable[[int, str], Rows]


def on_torch(dim: int, device: str) -> Rows:
    from retrieval.indexes.dense.torch_rows import TorchRows

    return TorchRows(dim, device)


class DeviceCopy:
    """Changes run alone, as with Rows; searches may run beside each other.

    usable: False from the first failure on; the caller's own rows answer then. open_rows: (dim, device) to empty rows.
    """

    def __init__(self, dim: int, device: str, open_rows: OpenRows) -> None:
        self.usable = True
        self._device = device
        self._rows: Rows | None = None
        try:
            self._rows = open_rows(dim, device)
        except RuntimeError as error:
            self._give_up(error)

    def change(self, gone: Keys, new: Keys, vectors: FloatArray) -> None:
        """vectors: (len(new), dim)."""
        if self._rows is None:
            return
        try:
            if len(gone):
                self._rows.remove(gone)
            if len(new):
                self._rows.add(new, vectors)
        except RuntimeError as error:
            self._give_up(error)

    def search(
        self, query: FloatArray, k: int, allowed: Set[int] | None, wanted: Keys | None
    ) -> tuple[FloatArray, Keys] | None:
        """None where it cannot answer. wanted: `allowed` as an array.

        A filter is not taken on trust: there are GPU indexes that accept one and ignore it, and what passes here
        reaches another tenant.
        """
        if (rows := self._rows) is None:
            return None
        try:
            scores, keys = rows.search(query, k, wanted)
        except RuntimeError as error:
            self._give_up(error)
            return None
        if allowed is not None and not all(key in allowed for key in keys.tolist()):
            self._give_up(RuntimeError("it does not hold to a filter"))
            return None
        return scores, keys

    def _give_up(self, error: RuntimeError) -> None:
        self.usable, self._rows = False, None
        log.error("the CPU searches the vectors from now on, not %s: %s", self._device, error)
