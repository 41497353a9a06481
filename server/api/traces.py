"""One answer afterwards, or meanwhile: its trace, and stopping it."""

from dataclasses import asdict
from typing import Any

import orjson
from fastapi import APIRouter, Response

from server.access.auth import Owner
from server.app.build import StateNow

router = APIRouter(tags=["backends"])


@router.get("/api/v1/traces/{trace_id}")
async def trace(trace_id: str, owner: Owner, state: StateNow) -> Response:
    """Question, what was searched for, every candidate with its scores and why it left, timings, the stored answer."""
    turn = await state.turns.get(owner, trace_id)
    return Response(orjson.dumps(asdict(turn)), media_type="application/json")


@router.post("/api/v1/chat/{trace_id}/stop")
async def stop(trace_id: str, owner: Owner, state: StateNow) -> dict[str, Any]:
    """Ends a running answer; what it has written stays stored. `stopped` is false where it had ended before."""
    stopped = state.running.stop(owner, trace_id)
    if not stopped:
        await state.turns.get(owner, trace_id)
    return {"success": True, "trace_id": trace_id, "stopped": stopped}
