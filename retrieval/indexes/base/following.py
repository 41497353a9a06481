"""An index of one vector store that follows the store's change log, whatever it is made of."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar

from models.base import FloatArray
from retrieval.indexes.base.frequencies import Frequencies
from retrieval.indexes.base.leg import Leg
from retrieval.store.base.values import Change, LogState
from retrieval.types import QueryVectors

P = TypeVar("P")


class PassageReader(Protocol):
    """What indexes read of the store (retrieval/store/passages.py)."""

    def vectors(self, keys: Sequence[int], dim: int) -> tuple[list[int], FloatArray]: ...
    def terms(self, keys: Sequence[int]) -> list[tuple[int, str]]: ...
    def weights(self, keys: Sequence[int]) -> list[tuple[int, bytes]]: ...
    def visible_keys(self, store_id: str) -> tuple[list[int], int]: ...
    def keys_without(self, store_id: str, table: Literal["vectors", "lexical_weights"]) -> list[int]: ...


class ChangeFeed(Protocol):
    """What they follow (retrieval/store/changes.py)."""

    def store_ids(self, owner: str | None = None) -> list[str]: ...
    def state(self, store_id: str) -> LogState: ...
    def after(self, store_id: str, seq: int, limit: int) -> list[Change]: ...
    def acknowledge(self, store_id: str, applied: Mapping[str, int]) -> None: ...
    def has_removals(self, store_id: str) -> bool: ...


class FollowingIndex(ABC, Generic[P]):
    """Keys are the store's integers: never reused, and what stands under a key never changes. P: what is indexed.

    Thread-safe: a search sees the last change that was applied before it began. name: of its scores and in `check`.
    file: its file or folder, in the folder of a vector store's indexes. durable: on disk after every change; else when
    it is saved. lexical: only where the embedder gives lexical weights. source: the store's table that P is read from,
    where a damaged database may lack it for some passage.
    """

    name: ClassVar[str]
    file: ClassVar[str]
    lexical: ClassVar[bool] = False
    durable: ClassVar[bool] = False
    source: ClassVar[Literal["vectors", "lexical_weights"] | None] = None

    @property
    @abstractmethod
    def applied(self) -> int:
        """The change log's seq that it has."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def keys(self) -> list[int]:
        """Ascending; a key that were in it twice would be there twice."""

    @abstractmethod
    def payload(self, passages: PassageReader, keys: Sequence[int]) -> P:
        """What `apply` adds for those of the keys that still exist."""

    @abstractmethod
    def apply(self, seq: int, payload: P, removed: Collection[int]) -> None:
        """Adds and takes keys out, together: searches see all of it or nothing. Keys that are there already stay."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Atomic. Does nothing where it is durable."""

    @staticmethod
    @abstractmethod
    def erase(path: Path) -> None:
        """Removes one that is not open."""

    @abstractmethod
    def leg(self, query: QueryVectors) -> Leg | None:
        """None where it cannot be asked with this query."""

    def frequencies(self, terms: Sequence[str]) -> Frequencies | None:
        """Of an index of terms."""
        return None

    def holding(self, term: str, k: int, allowed: Collection[int] | None) -> list[int] | None:
        """Of an index of terms: k passages at most that hold this one. allowed: None is everything."""
        return None

    @property
    def recall_at_10(self) -> float | None:
        """Which share of the exact 10 best a search finds, as measured; None while search is exact."""
        return None

    @property
    def outgrown(self) -> bool:
        """Whether `regroup` is due."""
        return False

    def regroup(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Orders itself anew for its size, in minutes; searches and changes go on. False where there was no effect."""
        return False

    @property
    def has_removed(self) -> bool:
        """Whether its files still hold passages that were taken out, and a save would not end that."""
        return False

    @staticmethod
    def removed_on_disk(path: Path) -> bool:
        """`has_removed` of one that is not open."""
        return False

    def rewrite(self, payloads: Iterable[P]) -> None:
        """The whole index anew, for the sake of `has_removed`; searches go on in the old one. payloads: all of it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of index, with what it is configured by.

    open: path, dimensions of the vectors -> the index as it is on disk, an empty one where there is none; raises
    ValueError where it cannot be read.
    """

    index: type[FollowingIndex[Any]]
    open: Callable[[Path, int], FollowingIndex[Any]]
