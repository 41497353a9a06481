"""The ASGI application: routes and middleware around the parts that build.py has put together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from server.access.authentication import Authentication
from server.access.neighbours import Neighbours
from server.api import bookmarks, chatbot, sessions, simple, traces
from server.api import chat as backend_chat
from server.app.build import Parts, open_parts
from server.http import front, health
from server.http.addresses import Addresses
from server.http.body_limit import BodyLimit
from server.http.errors import handle_errors
from server.http.no_nul import NoNulInAddresses
from server.openai.chat import route as chat
from server.openai.responses import routes as responses
from server.openai.retrieval import (
    consistency,
    embeddings,
    file_batches,
    files,
    generations,
    models,
    pages,
    progress,
    rerank,
    search,
    vector_stores,
)
from server.settings.settings import Settings, is_loopback
from server.telemetry import route as telemetry
from server.telemetry.requests import RequestMetrics
from server.webhooks import routes as webhooks

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

ROUTERS = (
    chat.router,
    responses.router,
    models.router,
    embeddings.router,
    rerank.router,
    files.router,
    pages.router,
    vector_stores.router,
    file_batches.router,
    progress.router,
    consistency.router,
    generations.router,
    search.router,
    backend_chat.router,
    traces.router,
    webhooks.router,
    simple.router,
    sessions.router,
    bookmarks.router,
    chatbot.router,
    front.router,
    health.router,
    telemetry.router,
)


def create_app(given: Parts | Settings) -> FastAPI:
    """From settings the parts are opened and closed with the application; ready ones are their maker's to close."""
    settings = given.settings if isinstance(given, Parts) else given

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            parts = given if isinstance(given, Parts) else await stack.enter_async_context(open_parts(given))
            app.state.parts = parts.provided()
            yield

    # FastAPI's OpenTelemetry hooks cost 0.1 ms a request with nobody listening; /metrics has what is measured.
    config: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}
    app = FastAPI(title="ragpod", lifespan=lifespan, redoc_url=None, redirect_slashes=False, telemetry=config)
    for router in ROUTERS:
        app.include_router(router)
    _describe(app)
    handle_errors(app)
    _wrap(app, settings)
    _prepare(app)
    return app


def _describe(app: FastAPI) -> None:
    """/openapi.json in front of FastAPI's own, whose first request takes 150 ms on the event loop."""

    async def openapi(_: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(app.openapi))

    app.router.routes.insert(0, Route("/openapi.json", openapi, include_in_schema=False))


def _prepare(app: FastAPI) -> None:
    """FastAPI makes a router's routes when the first request looks for one: 40 ms on the event loop."""
    for route in app.router.routes:
        route.matches({"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": []})


def _wrap(app: FastAPI, settings: Settings) -> None:
    """Pure ASGI only: BaseHTTPMiddleware would hide a client that leaves. Added last is met first."""
    limits = settings.limits
    app.add_middleware(NoNulInAddresses)
    app.add_middleware(
        BodyLimit,
        request=limits.request_bytes,
        upload=limits.upload_bytes,
        uploads=limits.uploads,
        seconds=limits.queue_seconds,
    )
    app.add_middleware(Authentication)
    hosts, origins = settings.allowed_hosts, settings.cors_origins
    app.add_middleware(Neighbours, hosts=hosts, origins=origins, is_local=is_loopback)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["authorization", "content-type", "x-api-key"],
            expose_headers=["x-request-id", "retry-after"],
        )
    app.add_middleware(RequestMetrics)
    app.add_middleware(Addresses)
