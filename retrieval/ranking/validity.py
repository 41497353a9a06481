"""Which passages a search may not find because they are not valid yet, or no longer.

`valid_from` and `valid_until` among a document's attributes bound it, unless the search's own filter names one of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from retrieval.dates import BOUNDS, valid
from retrieval.filters.syntax import Comparison, Filter
from retrieval.store.base.values import NamedStore


class Validity:
    """bounded: (key, valid_from, valid_until) of the passages that have one of them. clock: Unix seconds."""

    def __init__(
        self, bounded: Callable[[str, NamedStore], Sequence[tuple[int, Any, Any]]], clock: Callable[[], float]
    ) -> None:
        self._bounded = bounded
        self._clock = clock

    def hidden(self, owner: str, store: NamedStore, filter: Filter | None) -> frozenset[int]:
        """Keys; none for a filter that looks at the bounds itself. One statement, which blocks."""
        if filter is not None and _names_bounds(filter):
            return frozenset()
        bounded = self._bounded(owner, store)
        if not bounded:
            return frozenset()
        now = self._clock()
        verdicts: dict[tuple[Any, ...], bool] = {}
        hidden = []
        for key, *bounds in bounded:
            known = tuple(bounds)
            if known not in verdicts:
                verdicts[known] = valid(dict(zip(BOUNDS, known, strict=True)), now)
            if not verdicts[known]:
                hidden.append(key)
        return frozenset(hidden)


def _names_bounds(filter: Filter) -> bool:
    if isinstance(filter, Comparison):
        return filter.key in BOUNDS
    return any(_names_bounds(part) for part in filter.parts)
