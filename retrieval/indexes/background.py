"""Work on indexes that no search waits for."""

import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

from retrieval.store.base.values import EmbedderMismatch, NotFound, StoreFull, StoreUnavailable

log = logging.getLogger("ragpod.indexes")


class Background:
    """A few threads. What fails is logged: whoever needs it done asks again."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._guard = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._asked: set[Hashable] = set()

    def soon(self, key: Hashable, work: Callable[[], object]) -> None:
        """Nothing, where work of that key is waiting or running."""
        with self._guard:
            if key in self._asked:
                return
            self._asked.add(key)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="indexes")
            self._pool.submit(self._run, key, work)

    def _run(self, key: Hashable, work: Callable[[], object]) -> None:
        try:
            work()
        except (NotFound, EmbedderMismatch) as error:
            log.info("%s", error)
        except (StoreFull, StoreUnavailable) as error:
            log.warning("the indexes must wait: %s", error)
        except Exception:  # whatever it is, searches go on as they were
            log.exception("the indexes could not be tended: %s", key)
        finally:
            with self._guard:
                self._asked.discard(key)

    def close(self) -> None:
        """Returns when all of it is done. More may be asked afterwards."""
        with self._guard:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)
