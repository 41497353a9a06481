"""What a connection is told where no application answers: a whole HTTP response with OpenAI's error body."""

from functools import cache
from http import HTTPStatus

from server.answering.failures import QUEUE_SECONDS, Failure, ShuttingDown, failure_of
from server.http.errors import respond

MALFORMED = Failure(400, "this is not an HTTP request", code="bad_request")
TOO_LATE = Failure(408, "the request did not arrive in time", "timeout_error", "request_timeout")
HEADERS_TOO_LARGE = Failure(431, "the headers are over their limit", code="headers_too_large")
FULL = Failure(503, "too many connections", "overloaded_error", "too_many_connections", retry_after=QUEUE_SECONDS)
CUT = failure_of(ShuttingDown())


@cache
def refusal(failure: Failure) -> bytes:
    """Ready to be written; the connection is closed after it."""
    answer = respond(failure, "")
    head = f"HTTP/1.1 {failure.status} {HTTPStatus(failure.status).phrase}\r\n".encode()
    fields = b"".join(name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
    return head + fields + b"connection: close\r\n\r\n" + bytes(answer.body)
