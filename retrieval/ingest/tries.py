"""What an ingest does about a failure: it waits, it tries again, or the file has failed."""

import logging

from models.errors import InputTooLong, ModelError
from retrieval.parsing import ParseError
from retrieval.store.store import EmbedderMismatch, NotFound
from retrieval.store.types import StoreFull, StoreUnavailable, Superseded

log = logging.getLogger("ragpod.ingest")

_MOST = 5  # tries of a file at which something fails that nobody has foreseen: the first, and four after pauses
_LONGEST_PAUSE = 30.0  # seconds between two tries


class Tries:
    """Of one file version, by one worker. first_pause: seconds; each pause is twice the one before."""

    def __init__(self, version: int, first_pause: float) -> None:
        self._version = version
        self._first_pause = self._pause = first_pause
        self._unforeseen = 0

    def pause(self) -> float:
        """Seconds to the next try."""
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return pause

    def again(self, error: BaseException) -> bool:
        """Whether the file is to be tried again after this.

        For as long as it takes where the trouble is not the file's: the embedder is busy or down, the database cannot
        be reached, the disk is full, someone has put the file up anew. A few times where it is unforeseen.
        """
        if isinstance(error, Superseded | NotFound):  # NotFound: the file was deleted; its version goes with it
            log.info("%s", error)
            if isinstance(error, Superseded):  # nothing is amiss
                self._pause = self._first_pause
            return True
        if _passing(error):
            log.warning("file version %d must wait: %s", self._version, error)
            return True
        if _code(error) is not None:
            return False
        self._unforeseen += 1
        log.error("file version %d, failure %d of %d", self._version, self._unforeseen, _MOST, exc_info=error)
        return self._unforeseen < _MOST

    def verdict(self, error: BaseException) -> tuple[str, str]:
        """Code and message for StoreFile.error, fit for the file's owner. An unforeseen one tells its kind alone."""
        if code := _code(error):
            return code, str(error) or type(error).__name__
        message = (
            f"the server failed at this file {self._unforeseen} times, last with {type(error).__name__}; its log tells"
            " more. Attach the file again to try once more"
        )
        return "server_error", message


def _passing(error: BaseException) -> bool:
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
