"""What an engine's refusal means to a caller, under an HTTP status or inside a stream; pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from models.errors import BadRequest, InputTooLong, ModelError, Overloaded, Unavailable


def refusal(engine: str, status: int, body: bytes) -> ModelError:
    """What an HTTP status other than 200, with its body, means to the caller."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = {"error": body.decode(errors="replace").strip()[:500]}
    return failure(engine, status, error_fields(answer) if isinstance(answer, dict) else {})


def failure(engine: str, status: int, error: Mapping[str, Any]) -> ModelError:
    """An OpenAI error object (`message`, `param`) under an HTTP status, or under its own in-band code."""
    message = str(error.get("message") or f"HTTP {status}")
    if status in (429, 503):
        return Overloaded(f"the engine {engine} is busy: {message}")
    if status in (400, 413, 422):
        too_long = "context" in message and ("length" in message or "size" in message)
        return InputTooLong(message) if too_long else BadRequest(message, error.get("param"))
    if status in (401, 403):
        return Unavailable(f"the engine {engine} refused the configured API key (HTTP {status}): {message}")
    if status == 404:
        return Unavailable(f"the engine has no model {engine} or no such path (HTTP 404): {message}")
    return Unavailable(f"the engine {engine} failed (HTTP {status}): {message}")


def error_fields(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    error = answer.get("error", answer)
    return error if isinstance(error, dict) else {"message": str(error)}


def status_of(error: Mapping[str, Any]) -> int:
    """The HTTP status that an in-band error stands for."""
    code = error.get("code")
    return int(code) if isinstance(code, int | str) and str(code).isdigit() else 500
