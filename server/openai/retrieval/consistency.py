"""GET /api/v1/consistency: what `ragpod check` says, of a server that runs."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from server.access.authentication import Owner
from server.openai.retrieval.objects import DocumentsNow

router = APIRouter(tags=["vector stores"])


@router.get("/api/v1/consistency")
async def consistency(owner: Owner, documents: DocumentsNow) -> dict[str, Any]:
    """Every passage of the caller's vector stores against every entry of their indexes, by id. One at a time: it reads
    them all. Files that are just being ingested may differ for an instant.
    """
    differences = await documents.differences(owner)
    return {"consistent": not differences, "differences": [asdict(each) for each in differences]}
