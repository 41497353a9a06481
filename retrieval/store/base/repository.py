"""What every repository of the store is made of."""

import logging
from collections.abc import Callable

from sqlalchemy import Connection

from retrieval.database.engine import Database
from retrieval.database.errors import StoreFull
from retrieval.store.base.uses import Uses

# Of a transaction: at a row's number, of so many rows at most; False at the end (retrieval/store/base/removal.py).
Step = Callable[[Connection, int, int], bool]
log = logging.getLogger("ragpod.store")


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

    def _finish(self, step: Step, number: int) -> bool:
        """What has left goes, in steps (removal.py). False where not even the reserve has room for one: upkeep goes on
        when there is some.
        """

        def transaction(most: int) -> bool:
            with self._database.write(durable=False) as db:
                return step(db, number, most)

        try:
            self._database.free_in_steps(transaction)
        except StoreFull as error:
            log.warning("what was deleted is found no more, and keeps its room until there is some: %s", error)
            return False
        return True
