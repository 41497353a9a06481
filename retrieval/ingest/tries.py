"""What an ingest does about a failure: it waits, it tries again, or the file has failed."""

import logging
import time

from models.errors import InputTooLong, ModelError
from retrieval.ingest.pace import Pace, Pauses
from retrieval.parsing import ParseError
from retrieval.store.base.values import EmbedderMismatch, NotFound, StoreFull, StoreUnavailable

log = logging.getLogger("ragpod.ingest")

_MOST = 5  # tries of a file at which something fails that nobody has foreseen: the first, and four after pauses


class Tries:
    """Of one file version, by this process, from its first failure on."""

    def __init__(self, version: int, pace: Pace) -> None:
        self._version = version
        self._pauses = Pauses(pace.first_pause)
        self._patience = pace.patience
        self._until = time.monotonic() + pace.patience
        self._unforeseen = 0

    def pause(self) -> float:
        """Seconds to the next try."""
        return self._pauses.next()

    def again(self, error: BaseException) -> bool:
        """Whether the file is to be tried again after this.

        For a day where the trouble is not the file's: the embedder is busy or down, the database cannot be reached, the
        disk is full. A few times where it is unforeseen.
        """
        if isinstance(error, NotFound):  # the file was deleted, or has expired; its version goes with it
            log.info("%s", error)
            return True
        if passing(error):
            log.warning("file version %d must wait: %s", self._version, error)
            return time.monotonic() < self._until
        if _code(error) is not None:
            return False
        self._unforeseen += 1
        log.error("file version %d, failure %d of %d", self._version, self._unforeseen, _MOST, exc_info=error)
        return self._unforeseen < _MOST

    def verdict(self, error: BaseException) -> tuple[str, str]:
        """Code and message for StoreFile.error, fit for the file's owner. An unforeseen one tells its kind alone."""
        if passing(error):
            waited = f"it waited {self._patience / 3600:.3g} hours for the server to be able to"
            return "server_error", f"{waited}, last with {type(error).__name__}; `ragpod retry` tries once more"
        if code := _code(error):
            return code, str(error) or type(error).__name__
        message = (
            f"the server failed at this file {self._unforeseen} times, last with {type(error).__name__}; its log tells"
            " more. `ragpod retry`, or attaching the file again, tries once more"
        )
        return "server_error", message


def passing(error: BaseException) -> bool:
    """Whether every file would meet it now, and none is to blame."""
    return error.retryable if isinstance(error, ModelError) else isinstance(error, StoreUnavailable | StoreFull)


def _code(error: BaseException) -> str | None:
    """Where trying again will not help; None for what nobody has foreseen."""
    if isinstance(error, ParseError):
        return error.code
    if isinstance(error, EmbedderMismatch):
        return "embedder_mismatch"
    if isinstance(error, InputTooLong):
        return "invalid_file"
    return "server_error" if isinstance(error, ModelError) else None
