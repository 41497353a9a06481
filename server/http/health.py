"""GET /health, /ready, /metrics: for probes and scrapers."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from server.app.build import StateNow

router = APIRouter(tags=["health"])


@router.get("/health")
async def health(state: StateNow) -> dict[str, str]:
    """The process is alive, whatever its engine does."""
    return {"status": "ok", "engine": state.engine_now}


@router.get("/ready")
async def ready(state: StateNow) -> Response:
    """200, or 503 with what is missing; questions are answered meanwhile as well as they can be."""
    missing = state.missing()
    body: dict[str, Any] = {"status": "missing" if missing else "ready", "missing": missing}
    return JSONResponse(body, 503 if missing else 200)


@router.get("/metrics")
async def metrics(state: StateNow) -> Response:
    return PlainTextResponse(state.metrics.render(), media_type=CONTENT_TYPE_LATEST)
