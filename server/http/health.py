"""GET /health, /ready: for probes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from server.answering.generators import Generators
from server.http.provided import provided

HEALTH, READY = "/health", "/ready"
PROBES = frozenset({HEALTH, READY})  # open to everyone, whatever else is not
router = APIRouter(tags=["health"])
GeneratorsNow = Annotated[Generators, provided(Generators)]


@dataclass(frozen=True, slots=True)
class Background:
    """degraded: in words, of what is only in part as it should be; does not block."""

    degraded: Callable[[], list[str]]


BackgroundNow = Annotated[Background, provided(Background)]


@router.get(HEALTH)
async def health(generators: GeneratorsNow) -> dict[str, str]:
    """The process is alive, whatever its engine does."""
    return {"status": "ok", "engine": generators.engine_now}


@router.get(READY)
async def ready(generators: GeneratorsNow, background: BackgroundNow) -> Response:
    """200, or 503 with what is missing, without details: it is open to everyone. Questions are answered meanwhile as
    well as they can be. An engine that is not installed is named, and not waited for. degraded: what is there and works
    in part.
    """
    engine = generators.engine.status
    missing = [] if engine == "ready" else [f"engine: {generators.engine_now}"]
    whole = engine in ("ready", "absent")
    body: dict[str, Any] = {"status": "ready" if whole else "missing", "missing": missing}
    if degraded := background.degraded():
        body["degraded"] = degraded
    return JSONResponse(body, 200 if whole else 503)
