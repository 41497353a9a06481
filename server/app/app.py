"""The ASGI application: routes and middleware around one State."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from server.access.admission import BodyLimit
from server.access.auth import Authentication
from server.api import chat as backend_chat
from server.api import simple, traces
from server.app.build import State, open_state
from server.http import health
from server.http.errors import TABLE, ApiError, Failure, failure_of
from server.openai.chat import route as chat
from server.openai.responses import routes as responses
from server.openai.retrieval import embeddings, file_batches, files, models, rerank, search, vector_stores
from server.settings.settings import Settings
from server.telemetry.metrics import RequestMetrics

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

ROUTERS = (
    chat.router,
    responses.router,
    models.router,
    embeddings.router,
    rerank.router,
    files.router,
    vector_stores.router,
    file_batches.router,
    search.router,
    backend_chat.router,
    traces.router,
    simple.router,
    health.router,
)


def create_app(given: State | Settings) -> FastAPI:
    """From settings the state is opened and closed with the application; a ready state is its maker's to close."""
    settings = given.settings if isinstance(given, State) else given

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.ragpod = given if isinstance(given, State) else await stack.enter_async_context(open_state(given))
            yield

    # FastAPI's OpenTelemetry hooks cost 0.1 ms a request with nobody listening; /metrics has what is measured.
    telemetry: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}
    app = FastAPI(title="ragpod", lifespan=lifespan, redoc_url=None, telemetry=telemetry)
    for router in ROUTERS:
        app.include_router(router)
    _handle_errors(app)
    _wrap(app, settings)
    return app


def _wrap(app: FastAPI, settings: Settings) -> None:
    """Pure ASGI only: BaseHTTPMiddleware would hide a client that leaves. Added last is met first."""
    app.add_middleware(BodyLimit, limits=settings.limits)
    app.add_middleware(Authentication)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "x-api-key"],
            expose_headers=["x-request-id", "retry-after"],
        )
    app.add_middleware(RequestMetrics)


def _handle_errors(app: FastAPI) -> None:
    """Every failure has OpenAI's body, unknown routes and bad bodies too."""

    @app.exception_handler(Exception)
    async def any_error(request: Request, error: Exception) -> Response:
        return failure_of(error).response(request.url.path)

    for expected in (*TABLE, ApiError):
        app.add_exception_handler(expected, any_error)

    @app.exception_handler(RequestValidationError)
    async def bad_body(request: Request, error: RequestValidationError) -> Response:
        return _of_validation(error).response(request.url.path)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}.get(error.status_code)
        answer = Failure(error.status_code, str(error.detail), code=code).response(request.url.path)
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
