"""GET /health, /ready: for probes."""

from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from server.answering.generators import Generators
from server.http.provided import provided

router = APIRouter(tags=["health"])
GeneratorsNow = Annotated[Generators, provided(Generators)]


@router.get("/health")
async def health(generators: GeneratorsNow) -> dict[str, str]:
    """The process is alive, whatever its engine does."""
    return {"status": "ok", "engine": generators.engine_now}


@router.get("/ready")
async def ready(generators: GeneratorsNow) -> Response:
    """200, or 503 with what is missing, without details: it is open to everyone. Questions are answered meanwhile as
    well as they can be.
    """
    missing = [] if generators.engine.status == "ready" else [f"engine: {generators.engine_now}"]
    body: dict[str, Any] = {"status": "missing" if missing else "ready", "missing": missing}
    return JSONResponse(body, 503 if missing else 200)
