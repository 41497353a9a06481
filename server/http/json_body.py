"""Bodies that must be JSON: a route class that refuses everything else with the status that says why."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BeforeValidator, Field

from server.answering.failures import Failure
from server.http.errors import ApiError, bad_request

IDENTIFIER = r"^[A-Za-z0-9_.:-]{1,128}$"  # of a caller's own: a session
DEPTH = 100  # of lists and objects in each other; orjson writes 254


def storable(text: str) -> str:
    """Raises ValueError: neither database may be asked to keep what only one of them can."""
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


NoNul = AfterValidator(storable)


def _user_id(value: Any) -> Any:
    """A number is a user's id in many a database."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


UserId = Annotated[str, BeforeValidator(_user_id), Field(max_length=256), NoNul]  # whom a caller asks for; "": nobody


class JsonRoute(APIRoute):
    """415 for another Content-Type, none included: a browser's form must not reach what a script may not.

    400 for what is not JSON: lone surrogates, NaN and endless nesting too.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if self.body_field is None:
                return await handle(request)
            read = _ReadRequest(request.scope, request.receive)
            body = await read.body()
            if not _is_json(request.headers.get("content-type", "")):
                raise ApiError(Failure(415, "the body must be sent as application/json", code="unsupported_media_type"))
            if body:
                read.parsed = _parsed(body)
            return await handle(read)

        return checked


class _ReadRequest(Request):
    """Parsed before FastAPI looks at it: what goes wrong keeps its own status and words."""

    parsed: Any = None

    async def json(self) -> Any:
        return self.parsed


def _parsed(body: bytes) -> Any:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as invalid:
        raise bad_request(f"the body is not valid JSON: {invalid}", code="invalid_json") from None
    if _deeper(value, DEPTH):
        raise bad_request(f"the body is nested deeper than {DEPTH}", code="nested_too_deeply")
    return value


def _is_json(content_type: str) -> bool:
    essence = content_type.partition(";")[0].strip().lower()
    return essence == "application/json" or (essence.startswith("application/") and essence.endswith("+json"))


def _deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterator[Any]:
    """The containers right inside it."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (item for item in inner if isinstance(item, dict | list))
