"""Tasks that go on until they are cancelled, whatever is raised inside them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("ragpod.ingest")

_PAUSE = 1.0  # seconds before one that has died is begun anew


def ends_task(error: BaseException) -> bool:
    """Whether it is the end of the task that runs: this task was cancelled, or the process is to end.

    A CancelledError may also come out of a library, whose own task or future was cancelled: that is a failure like any
    other. So is a panic of a library in Rust, a BaseException of its own.
    """
    task = asyncio.current_task()
    cancelled = task is not None and task.cancelling() > 0
    return cancelled or isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)


async def lasting(work: Callable[[], Awaitable[None]], *, pause: float = _PAUSE) -> None:
    """Runs `work` again and again. What it raises is logged."""
    while True:
        try:
            await work()
        except BaseException as error:
            if ends_task(error):
                raise
            log.exception("the task %r died, and is begun anew", _name())
        await asyncio.sleep(pause)


def _name() -> str:
    task = asyncio.current_task()
    return "" if task is None else task.get_name()
