"""What a failure looks like outside: one table from exceptions to status, type and code.

The body is OpenAI's: {"error": {"message", "type", "param", "code"}}.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.responses import Response

from models import errors as model_errors
from retrieval.filters import sql as filters
from retrieval.store import types as store_types
from server.answering.events import ErrorEvent

RETRY_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Failure:
    """retry_after: seconds; None says that the same request will not succeed later."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    retry_after: int | None = None

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    def response(self, path: str) -> Response:
        """Under /api/ the body also has `"success": false`."""
        body = {"success": False} | self.body() if path.startswith("/api/") else self.body()
        return Response(orjson.dumps(body), self.status, self.headers(), "application/json")

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


class ApiError(Exception):
    """Refused for a reason that the caller is told."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(Failure(400, message, code=code, param=param))


def not_found(message: str, code: str = "not_found", param: str | None = None) -> ApiError:
    return ApiError(Failure(404, message, code=code, param=param))


# exception -> status, type, code, retry_after; the first that matches along the class's ancestors counts
TABLE: dict[type[BaseException], tuple[int, str, str, int | None]] = {
    model_errors.Overloaded: (503, "overloaded_error", "overloaded", RETRY_SECONDS),
    model_errors.Unavailable: (503, "service_unavailable_error", "engine_unavailable", RETRY_SECONDS),
    model_errors.Timeout: (504, "timeout_error", "timeout", RETRY_SECONDS),
    model_errors.InputTooLong: (400, "invalid_request_error", "context_length_exceeded", None),
    model_errors.BadRequest: (400, "invalid_request_error", "bad_request", None),
    store_types.UnknownCursor: (400, "invalid_request_error", "invalid_cursor", None),
    store_types.Expired: (404, "invalid_request_error", "vector_store_expired", None),
    store_types.NotFound: (404, "invalid_request_error", "not_found", None),
    filters.InvalidFilter: (400, "invalid_request_error", "invalid_filter", None),
    store_types.EmbedderMismatch: (409, "invalid_request_error", "embedder_mismatch", None),
}


def failure_of(error: BaseException) -> Failure:
    """What the caller is told of `error`; an unforeseen one says nothing of its inside."""
    if isinstance(error, ApiError):
        return error.failure
    for ancestor in type(error).__mro__:
        if ancestor in TABLE:
            status, kind, code, retry = TABLE[ancestor]
            return Failure(status, str(error) or code, kind, code, getattr(error, "param", None), retry)
    return Failure(500, "internal error; the server's log has it", "server_error", "internal_error")


def failure_of_event(event: ErrorEvent) -> Failure:
    return Failure(event.status, event.message, event.type, event.code, event.param, event.retry_after)
