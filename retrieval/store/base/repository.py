"""What every repository of the store is made of."""

from collections.abc import Callable

from retrieval.database.engine import Database
from retrieval.store.base.uses import Uses


class Repository:
    """Synchronous and thread-safe; near an event loop its calls are given to Store.reads and Store.writes.

    clock: Unix seconds. uses: when vector stores were last used, of which the database knows only after a while. Every
    call may raise StoreUnavailable, one that writes StoreFull and StoreConflict.
    """

    def __init__(self, database: Database, clock: Callable[[], float], uses: Uses) -> None:
        self._database = database
        self._clock = clock
        self._uses = uses

    @property
    def _now(self) -> int:
        return int(self._clock())
