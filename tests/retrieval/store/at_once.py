"""Calls that begin at the same instant, each in a thread."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from retrieval.store.base.values import NotFound, Superseded
from tests.until import PATIENCE

Call = Callable[[], object]


def at_once(*calls: Call) -> list[object]:
    """What each answers. That something is gone, or was taken over, is an answer; everything else is raised: a
    conflict too, which is what a deadlock would be.
    """
    barrier = threading.Barrier(len(calls))

    def one(call: Call) -> object:
        barrier.wait(PATIENCE)
        try:
            return call()
        except (NotFound, Superseded) as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(PATIENCE) for each in [pool.submit(one, call) for call in calls]]
