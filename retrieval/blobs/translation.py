"""What the operating system says about files as the house's own errors."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from retrieval.database.errors import StoreError, StoreFull, StoreUnavailable, kind_of_os

log = logging.getLogger("ragpod.store")

TOLD: dict[type[StoreError], str] = {
    StoreUnavailable: "the place where files are kept is not available",
    StoreFull: "the place where files are kept has no room left",
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises StoreFull, StoreUnavailable. Callers are told no more than that: the log has the rest."""
    try:
        yield
    except OSError as error:
        kind = kind_of_os(error) or StoreUnavailable
        log.warning("%s: %s", TOLD[kind], error)
        raise kind(TOLD[kind]) from error
