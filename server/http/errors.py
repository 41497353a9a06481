"""Failures on the wire. The body is OpenAI's: {"error": {"message", "type", "param", "code"}}."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from server.answering import failures
from server.answering.failures import TABLE, Failure

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large", 429: "queue_full"}
_TYPES = {429: "rate_limit_error"}
LEFT = 499  # nginx's number for a client that closed its request; seen in the metrics only
log = logging.getLogger("ragpod.http")


class ApiError(Exception):
    """A request that is refused for a reason that the caller is told."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(Failure(400, message, code=code, param=param))


def not_found(message: str, code: str = "not_found", param: str | None = None) -> ApiError:
    return ApiError(Failure(404, message, code=code, param=param))


def failure_of(error: BaseException) -> Failure:
    return error.failure if isinstance(error, ApiError) else failures.failure_of(error)


def error_body(failure: Failure) -> dict[str, Any]:
    shown = {"message": failure.message, "type": failure.type, "param": failure.param, "code": failure.code}
    return {"error": shown}


def respond(failure: Failure, path: str) -> Response:
    """Under /api/ the body also has `"success": false`."""
    body = {"success": False} | error_body(failure) if path.startswith("/api/") else error_body(failure)
    headers = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
    headers |= {"WWW-Authenticate": "Bearer"} if failure.status == 401 else {}
    return Response(orjson.dumps(body), failure.status, headers, "application/json")


def handle_errors(app: FastAPI) -> None:
    """Every failure has OpenAI's body, unknown routes and bad bodies too."""

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        """Starlette raises it again for the log, and the server then closes the connection: the client is told."""
        answer = respond(failure_of(error), request.url.path)
        answer.headers["Connection"] = "close"
        return answer

    async def any_error(request: Request, error: Exception) -> Response:
        return respond(failure_of(error), request.url.path)

    for expected in (*TABLE, ApiError):
        app.add_exception_handler(expected, any_error)

    @app.exception_handler(OSError)
    async def trouble(request: Request, error: OSError) -> Response:
        """Of the disk or the process; any other is as unforeseen as before."""
        failure = failure_of(error)
        if failure.status == 500:
            raise error
        log.warning("%s %s: %s", request.method, request.url.path, error)
        return respond(failure, request.url.path)

    @app.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> Response:
        """In the middle of its body. Nobody takes the response."""
        log.debug("%s %s: the client left before its body was whole", request.method, request.url.path)
        return Response(status_code=LEFT)

    @app.exception_handler(RequestValidationError)
    async def bad_body(request: Request, error: RequestValidationError) -> Response:
        return respond(_of_validation(error), request.url.path)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        cause = error.__cause__  # FastAPI calls it a bad body where a large one cannot be put away or is cut off
        if isinstance(cause, ClientDisconnect):
            return await left(request, cause)
        if isinstance(cause, OSError) and failure_of(cause).status != 500:
            return await trouble(request, cause)
        status = error.status_code
        failure = Failure(status, str(error.detail), code=_CODES.get(status))
        if status in _TYPES:
            failure = replace(failure, type=_TYPES[status])
        answer = respond(failure, request.url.path)
        answer.headers.update(error.headers or {})
        return answer


def _of_validation(error: RequestValidationError) -> Failure:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return Failure(400, "the body is not valid JSON", code="invalid_json")
    if isinstance(error.body, dict | list):
        param = _param(first["loc"][1:], error.body, missing=first["type"] == "missing")
    else:  # of a query, or a form
        param = str(first["loc"][1]) if len(first["loc"]) > 1 else ""
    return Failure(400, f"{param or 'body'}: {first['msg']}", code=first["type"], param=param or None)


def _param(place: Sequence[int | str], body: Any, *, missing: bool) -> str:
    """As a caller writes it: "messages[0].role". pydantic also names the branch of a union, which no body has."""
    param, last = "", len(place) - 1
    for depth, part in enumerate(place):
        if isinstance(body, list) and isinstance(part, int) and part < len(body):
            param, body = f"{param}[{part}]", body[part]
        elif isinstance(body, dict) and (part in body or (missing and depth == last)):
            param, body = (f"{param}.{part}" if param else str(part)), body.get(part)
    return param
