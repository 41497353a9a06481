"""Where a derived index is not what the store says."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Difference:
    """Chunk keys, ascending.

    index: its name; "vectors" or "lexical_weights" for passages of the store that have none.
    """

    store_id: str
    index: str
    missing: tuple[int, ...] = ()
    extra: tuple[int, ...] = ()
    doubled: tuple[int, ...] = ()


def compare(store_id: str, index: str, keys: Sequence[int], held: Sequence[int]) -> Difference | None:
    """keys: the store's. held: the index's. Both ascending. None where they agree, by key and by count."""
    if list(keys) == list(held):
        return None
    wanted, there = set(keys), set(held)
    doubled = {a for a, b in pairwise(held) if a == b}
    return Difference(
        store_id, index, tuple(sorted(wanted - there)), tuple(sorted(there - wanted)), tuple(sorted(doubled))
    )
