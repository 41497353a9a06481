"""The store as the settings name it, and what each owner finds in it from the first day."""

import logging
import time
from collections.abc import Callable, Iterable

from retrieval.store.base.values import StoreFull, StoreUnavailable
from retrieval.store.store import Store
from retrieval.types import Chunking, Cutting
from server.access.keys import DEFAULT_OWNER
from server.settings.settings import Settings

log = logging.getLogger("ragpod.stores")


def opened_store(settings: Settings, clock: Callable[[], float] = time.time) -> Store:
    """Of these settings; blocking. Raises StoreError, ValueError."""
    url = settings.store.url
    named = None if url is None else url.get_secret_value()
    given = settings.store
    return Store.open(
        settings.data_dir,
        url=named,
        blobs=given.blobs,
        reserve_bytes=given.reserve_bytes,
        cutting=cutting(settings),
        clock=clock,
    )


def cutting(settings: Settings) -> Cutting:
    given = settings.retrieval
    return Cutting(Chunking(given.passage_tokens, given.passage_overlap), tuple(sorted(settings.privacy.mask)))


def furnish(store: Store, owners: Iterable[str], name: str) -> None:
    """Each owner has a vector store of that name, from which `ragpod` answers; blocking.

    Where another owner's cannot be made now, that one has none until the next start, and the server starts. Raises
    StoreError.
    """
    store.vector_stores.ensure(DEFAULT_OWNER, name)
    for owner in sorted(set(owners) - {DEFAULT_OWNER}):
        try:
            store.vector_stores.ensure(owner, name)
        except (StoreFull, StoreUnavailable) as error:
            log.warning("%s has no vector store %r yet: %s", owner, name, error)
