"""One answer afterwards, or meanwhile: its trace, and stopping it."""

from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Response

from server.access.authentication import Owner
from server.answering.run import Runs
from server.http.provided import provided
from server.records.turns import Turns

router = APIRouter(tags=["backends"])
TurnsNow = Annotated[Turns, provided(Turns)]


@router.get("/api/v1/traces/{trace_id}")
async def trace(trace_id: str, owner: Owner, turns: TurnsNow) -> Response:
    """Question, what was searched for, every candidate with its scores and why it left, timings, the stored answer."""
    turn = await turns.get(owner, trace_id)
    return Response(orjson.dumps(asdict(turn)), media_type="application/json")


@router.post("/api/v1/chat/{trace_id}/stop")
async def stop(trace_id: str, owner: Owner, runs: Annotated[Runs, provided(Runs)], turns: TurnsNow) -> dict[str, Any]:
    """Ends a running answer; what it has written stays stored. `stopped` is false where it had ended before."""
    stopped = runs.stop(owner, trace_id)
    if not stopped:
        await turns.get(owner, trace_id)
    return {"success": True, "trace_id": trace_id, "stopped": stopped}
