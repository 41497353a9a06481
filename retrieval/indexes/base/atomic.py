"""Files that are either the old ones or the new ones, whatever moment the power goes off or the disk is full."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from retrieval.store.base.values import StoreFull, StoreUnavailable, kind_of_os

log = logging.getLogger("ragpod.indexes")

_TOLD = {
    StoreFull: "the disk has no room left for the indexes",
    StoreUnavailable: "the indexes cannot be written",
}


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """`write` fills a temporary file beside `path`, which then takes its place, flushed to disk.

    Raises StoreFull, StoreUnavailable: nothing is left of the try, and the old file is as it was.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        with written():
            write(temporary)
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def written() -> Iterator[None]:
    """What the operating system says to whoever writes an index as the store's own errors; the log has its words."""
    try:
        yield
    except OSError as error:
        kind = kind_of_os(error) or StoreUnavailable
        log.warning("%s: %s", _TOLD[kind], error)
        raise kind(_TOLD[kind]) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
