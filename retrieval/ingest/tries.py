"""What an ingest does about a failure: it waits, it tries again, or the file has failed.

How often that was is kept with the version (retrieval.store.base.values.Tried), so that a restart forgets none of it.
"""

import logging

from models.errors import InputTooLong, ModelError
from retrieval.ingest.pace import Pace
from retrieval.parsing import ParseError
from retrieval.store.base.values import EmbedderMismatch, IngestJob, NotFound, StoreFull, StoreUnavailable, Tried

log = logging.getLogger("ragpod.ingest")

_MOST = 5  # tries of a file at which something fails that nobody has foreseen: the first, and four after pauses
_ONCE_MORE = "`ragpod retry`, or attaching the file again, tries once more"


def tried_by(job: IngestJob, error: BaseException, pace: Pace, now: float) -> Tried:
    """With this failure. now: Unix seconds, by the clock of job.claimed_at."""
    before = job.tried
    tried = before._replace(tries=before.tries + 1)
    if passing(error):
        took = max(0.0, now - job.claimed_at) + pace.pause(tried.tries)
        return tried._replace(waited=before.waited + took)
    if isinstance(error, NotFound) or _code(error) is not None:
        return tried
    return tried._replace(unforeseen=before.unforeseen + 1)


def gives_up(job: IngestJob, error: BaseException, tried: Tried, pace: Pace) -> bool:
    """Whether the file is not to be tried again after this. tried: with this failure.

    It is for a day where the trouble is not the file's: the embedder is busy or down, the database cannot be reached,
    the disk is full. A few times where it is unforeseen.
    """
    version = job.attempt.version
    if isinstance(error, NotFound):  # the file was deleted, or has expired; its version goes with it
        log.info("%s", error)
        return False
    if passing(error):
        log.warning("file version %d must wait: %s", version, error)
        return tried.waited >= pace.patience
    if _code(error) is not None:
        return True
    log.error("file version %d, failure %d of %d", version, tried.unforeseen, _MOST, exc_info=error)
    return tried.unforeseen >= _MOST


def verdict(error: BaseException, tried: Tried) -> tuple[str, str]:
    """Code and message for StoreFile.error, fit for the file's owner. An unforeseen one tells its kind alone."""
    if passing(error):
        waited = f"it waited {tried.waited / 3600:.3g} hours for the server to be able to"
        return "server_error", f"{waited}, last with {type(error).__name__}; `ragpod retry` tries once more"
    if code := _code(error):
        return code, str(error) or type(error).__name__
    message = f"the server failed at this file {tried.unforeseen} times, last with {type(error).__name__}; its log"
    return "server_error", f"{message} tells more. {_ONCE_MORE}"


def deadly(job: IngestJob, pace: Pace) -> tuple[str, str] | None:
    """Code and message, where one process after another died at it. What is visible has only its indexes before it:
    that is no fault of the file's.
    """
    deaths = job.tried.deaths
    if deaths < pace.deaths or job.visible:
        return None
    died = f"the server died {deaths} times while it was at this file, each time before anything was done of it"
    return "worker_died", f"{died}; it may take more memory than there is. {_ONCE_MORE}"


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
