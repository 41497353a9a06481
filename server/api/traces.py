"""One answer afterwards, or meanwhile: its trace, deleting it, stopping it."""

from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Response

from server.access.authentication import Owner
from server.answering.run import Runs
from server.http.provided import provided
from server.records.errors import UnknownTurn
from server.records.turns import Turns

router = APIRouter(tags=["backends"])
TurnsNow = Annotated[Turns, provided(Turns)]
RunsNow = Annotated[Runs, provided(Runs)]


@router.get("/api/v1/traces/{trace_id}")
async def trace(trace_id: str, owner: Owner, turns: TurnsNow) -> Response:
    """Question, what was searched for, every candidate with its scores and why it left, timings, the stored answer."""
    turn = await turns.get(owner, trace_id)
    return Response(orjson.dumps(asdict(turn)), media_type="application/json")


@router.delete("/api/v1/traces/{trace_id}")
async def delete(trace_id: str, owner: Owner, runs: RunsNow, turns: TurnsNow) -> dict[str, Any]:
    """All that was kept of an answer: its turn, and the response where /v1/responses made one of it, which then is as
    unknown as one that never was. An answer that still runs is stopped first. The bytes leave the disk with the next
    upkeep, within a minute.
    """
    ended = await runs.end(owner, trace_id)
    try:
        await turns.delete(owner, trace_id)
    except UnknownTurn:
        if not ended:  # of one that ran nothing may have been kept: `store: false`, the engine's own id
            raise
    return {"success": True, "trace_id": trace_id, "deleted": True}


@router.post("/api/v1/chat/{trace_id}/stop")
async def stop(trace_id: str, owner: Owner, runs: RunsNow, turns: TurnsNow) -> dict[str, Any]:
    """Ends a running answer; what it has written stays stored. `stopped` is false where it had ended before."""
    stopped = runs.stop(owner, trace_id)
    if not stopped:
        await turns.get(owner, trace_id)
    return {"success": True, "trace_id": trace_id, "stopped": stopped}
