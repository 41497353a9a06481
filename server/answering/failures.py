"""What can go wrong with an answer, and what each failure of the house is called outside: one table, no wire format.

AnswerError
├── InvalidConversation   there is no question in it
├── UnknownModel          neither a vector store's nor the engine's
├── UnknownStore          named in the request, and not there for this owner
├── QueueFull             too many answers wait already
├── QueueTimeout          no place came free in time
└── ShuttingDown          the server ends, and its grace is over
"""

from dataclasses import dataclass

from models import errors as model_errors
from retrieval.blobs.errors import BlobMissing
from retrieval.filters import syntax as filters
from retrieval.store.base import values as store_types
from retrieval.store.base.values import kind_of_os
from server.answering.events import ErrorEvent
from server.records import errors as record_errors

RETRY_SECONDS = 2
QUEUE_SECONDS = 5  # a client that has waited its time comes back later than one that was refused at once


class AnswerError(Exception):
    """param: the field of the request that it is about."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidConversation(AnswerError):
    pass


class UnknownModel(AnswerError):
    def __init__(self, model: str) -> None:
        super().__init__(f"the model {model[:100]!r} does not exist", "model")


class UnknownStore(AnswerError):
    pass


class QueueFull(AnswerError):
    pass


class QueueTimeout(AnswerError):
    pass


class ShuttingDown(AnswerError):
    def __init__(self) -> None:
        super().__init__("the server is shutting down: ask again")


@dataclass(frozen=True, slots=True)
class Failure:
    """status: HTTP's, which says best what kind it is. type, code: OpenAI's, and ours where it has none.

    retry_after: seconds; None says that the same request will not succeed later.
    """

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None

    def event(self) -> ErrorEvent:
        return ErrorEvent(
            code=self.code or self.type,
            message=self.message,
            retryable=self.retry_after is not None,
            status=self.status,
            type=self.type,
            param=self.param,
            retry_after=self.retry_after,
        )


_INVALID = "invalid_request_error"
# exception -> status, type, code, retry_after; the first that matches along the class's ancestors counts
TABLE: dict[type[BaseException], tuple[int, str, str | None, int | None]] = {
    InvalidConversation: (400, _INVALID, None, None),
    UnknownModel: (404, _INVALID, "model_not_found", None),
    UnknownStore: (404, _INVALID, "vector_store_not_found", None),
    QueueFull: (429, "rate_limit_error", "queue_full", RETRY_SECONDS),
    QueueTimeout: (503, "overloaded_error", "queue_timeout", QUEUE_SECONDS),
    ShuttingDown: (503, "service_unavailable_error", "shutting_down", QUEUE_SECONDS),
    record_errors.UnknownTurn: (404, _INVALID, "trace_not_found", None),
    record_errors.UnknownResponse: (404, _INVALID, "response_not_found", None),
    record_errors.UnknownItem: (404, _INVALID, "item_not_found", None),
    record_errors.UnknownSession: (404, _INVALID, "session_not_found", None),
    record_errors.UnknownMessage: (404, _INVALID, "message_not_found", None),
    record_errors.UnknownBookmark: (404, _INVALID, "bookmark_not_found", None),
    record_errors.SessionBusy: (409, _INVALID, "session_busy", RETRY_SECONDS),
    record_errors.ChainTooLong: (400, _INVALID, "conversation_too_long", None),
    model_errors.Overloaded: (503, "overloaded_error", "overloaded", RETRY_SECONDS),
    model_errors.Unavailable: (503, "service_unavailable_error", "engine_unavailable", RETRY_SECONDS),
    model_errors.Timeout: (504, "timeout_error", "timeout", RETRY_SECONDS),
    model_errors.InputTooLong: (400, _INVALID, "context_length_exceeded", None),
    model_errors.BadRequest: (400, _INVALID, "bad_request", None),
    store_types.UnknownCursor: (400, _INVALID, "invalid_cursor", None),
    store_types.Expired: (404, _INVALID, "vector_store_expired", None),
    store_types.NotFound: (404, _INVALID, "not_found", None),
    filters.InvalidFilter: (400, _INVALID, "invalid_filter", None),
    BlobMissing: (503, "service_unavailable_error", "store_unavailable", RETRY_SECONDS),
    store_types.StoreUnavailable: (503, "service_unavailable_error", "store_unavailable", RETRY_SECONDS),
    store_types.StoreFull: (507, "server_error", "store_full", None),
    store_types.StoreConflict: (409, _INVALID, "conflict", None),
    store_types.EmbedderMismatch: (409, _INVALID, "embedder_mismatch", None),
}


_OF_DISK = {
    store_types.StoreFull: "the disk has no room left",
    store_types.StoreUnavailable: "the disk, or the process's share of the machine, is not available",
}


def failure_of(error: BaseException) -> Failure:
    """What the caller is told of `error`; an unforeseen one says nothing of its inside.

    The operating system's own are the store's, where they say that there is no room or that something is not well.
    """
    if isinstance(error, OSError) and (trouble := kind_of_os(error)) is not None:
        error = trouble(_OF_DISK[trouble])
    for ancestor in type(error).__mro__:
        if ancestor in TABLE:
            status, kind, code, retry = TABLE[ancestor]
            return Failure(status, str(error) or code or kind, kind, code, getattr(error, "param", None), retry)
    return Failure(500, "internal error; the server's log has it", "server_error", "internal_error")


def failure_of_event(event: ErrorEvent) -> Failure:
    return Failure(event.status, event.message, event.type, event.code, event.param, event.retry_after)
