"""What the ingestor needs of the store: the versions in progress, claimed and leased by many workers."""

from collections.abc import Collection, Sequence
from typing import Protocol

from retrieval.store.base.values import Attempt, IngestJob, Tried


class IngestQueue(Protocol):
    """Thread-safe; of one process or of several. worker: names who claims. Every call raises StoreUnavailable, those
    that write StoreFull.
    """

    def claim(
        self, worker: str, seconds: float, *, embedders: Sequence[str] | None = None, beside: bool = True
    ) -> IngestJob | None:
        """A new attempt at a version that nobody holds, in turns of owners and their vector stores, the oldest first in
        each; leased for so long. Of those at which a process has died a worker has one at a time, so that the others
        do not die with it. None: nothing to do now. embedders: that the caller has; None: whatever it takes. beside: of
        generations beside those that are found too.
        """
        ...

    def renew(self, worker: str, attempts: Collection[Attempt], seconds: float) -> None:
        """From now; those that are no longer the worker's stay as they are."""
        ...

    def release(self, attempt: Attempt, pause: float = 0.0, tried: Tried | None = None) -> None:
        """To whoever claims it after so many seconds, with what was in vain so far; None: as it was. Nothing happens
        where it is superseded.
        """
        ...

    def release_all(self, worker: str, died: float | None = None) -> None:
        """Whatever is leased to it. died: it was killed at that; whatever more than one worker has died at rests for so
        many seconds.
        """
        ...

    def unfinished(self) -> int:
        """How many versions are in progress."""
        ...

    def in_progress(self, versions: Collection[int]) -> set[int]:
        """Those of them that are."""
        ...

    def next_due(
        self, worker: str = "", *, embedders: Sequence[str] | None = None, beside: bool = True
    ) -> float | None:
        """Unix seconds by the store's clock, when the earliest lease or pause ends of what this worker may claim then;
        a time that is over where a version may be claimed now. None: there is none in progress. Of those that `claim`
        would take.
        """
        ...
