"""What a search may find of a vector store: everything, the passages under some keys, or what passes a filter."""

from collections.abc import Set
from dataclasses import dataclass

from retrieval.filters.syntax import Filter


@dataclass(frozen=True, slots=True)
class Everything:
    pass


@dataclass(frozen=True, slots=True)
class OnlyKeys:
    """Of the passages that pass, whichever filter that was."""

    keys: Set[int]


@dataclass(frozen=True, slots=True)
class PushedDown:
    """For a search that evaluates the filter itself."""

    filter: Filter


Allowed = Everything | OnlyKeys | PushedDown
