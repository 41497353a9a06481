"""GET /metrics: for scrapers."""

from typing import Annotated

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from server.http.provided import provided
from server.telemetry.metrics import Metrics

router = APIRouter(tags=["health"])


@router.get("/metrics")
async def metrics(metrics: Annotated[Metrics, provided(Metrics)]) -> Response:
    return PlainTextResponse(metrics.render(), media_type=CONTENT_TYPE_LATEST)
