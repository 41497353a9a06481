"""Indexes order themselves anew for their size, in minutes, while they answer as they did."""

import logging
import threading
from collections.abc import Callable

from retrieval.indexes.follow import Index
from retrieval.store.base.values import NotFound

log = logging.getLogger("ragpod.indexes")


class Regrouping:
    """A thread for each index that is at it, by vector store and name."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._closing = threading.Event()
        self._threads: dict[tuple[str, str], threading.Thread] = {}

    def begin(self, store_id: str, index: Index, done: Callable[[], None]) -> None:
        """Where it is due, and not being done. done: is called in its thread where it had an effect."""
        with self._guard:
            if (store_id, index.name) in self._threads or not index.outgrown:
                return
            arguments = (store_id, index, done, self._closing.is_set)
            thread = threading.Thread(target=self._run, args=arguments, name="regroup", daemon=True)
            self._threads[store_id, index.name] = thread
        thread.start()

    def _run(self, store_id: str, index: Index, done: Callable[[], None], stopped: Callable[[], bool]) -> None:
        try:
            if index.regroup(stopped):
                done()
        except NotFound:
            log.info("vector store %s was deleted while its %s index was regrouped", store_id, index.name)
        except Exception:  # whatever it is, searches go on as they were
            log.exception("the %s index of %s could not be regrouped", index.name, store_id)
        finally:
            with self._guard:
                del self._threads[store_id, index.name]

    def close(self) -> None:
        """Returns when all are done or have broken off. More may be begun afterwards."""
        self._closing.set()
        for thread in list(self._threads.values()):
            thread.join()
        self._closing = threading.Event()
