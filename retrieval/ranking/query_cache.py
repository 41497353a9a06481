"""The vectors of the last queries, bounded by bytes.

By count alone, 12 queries of 1 MB held 244 MB: a term is a string of its own, 50 bytes and more for every word.
"""

import sys
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from models.base import FloatArray
from retrieval.types import QueryVectors

# A question of 20 tokens has 31 kB of token vectors with multilingual-e5-small, 82 kB with BGE-M3: the last 1,000 of
# them, or 400.
BYTES = 32 * 2**20
# The longest that e5 reads, 512 tokens, has .8 MB. What is longer is hardly asked twice, and would push 32 others out.
LARGEST = 2**20
_ENTRY = 100  # bytes of a dictionary's entry with its key and its value as objects


class QueryCache:
    """The last used ones. For callers on one event loop."""

    def __init__(self, limit: int = BYTES, largest: int = LARGEST) -> None:
        self._limit, self._largest = limit, largest
        self._known: OrderedDict[str, tuple[QueryVectors, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, query: str) -> QueryVectors | None:
        if (known := self._known.get(query)) is None:
            return None
        self._known.move_to_end(query)
        return known[0]

    def put(self, vectors: QueryVectors) -> None:
        """Under its text. The longest unused ones leave; one that is too large does not come in."""
        if (size := _bytes(vectors)) > self._largest:
            return
        kept = replace(vectors, dense=_alone(vectors.dense), tokens=_alone(vectors.tokens))
        _, old = self._known.pop(vectors.text, (None, 0))  # of two callers at once with one query
        self._known[vectors.text] = kept, size
        self.bytes += size - old
        while self.bytes > self._limit:
            _, (_, gone) = self._known.popitem(last=False)
            self.bytes -= gone


def _alone(rows: FloatArray) -> FloatArray:
    """Not a view, which would hold all of the batch that it was computed in."""
    return rows if rows.base is None else np.array(rows)


def _bytes(vectors: QueryVectors) -> int:
    terms = sum(sys.getsizeof(term) + 8 for term in vectors.terms)
    weights = _ENTRY * len(vectors.sparse or ())
    return _ENTRY + sys.getsizeof(vectors.text) + vectors.dense.nbytes + vectors.tokens.nbytes + terms + weights
