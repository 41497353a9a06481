"""GET /api/v1/vector_stores/{id}/progress: how far the ingest of a vector store is, as server-sent events."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse

from retrieval.ingest.scans import Scans
from retrieval.store.base.values import NotFound, Progress
from retrieval.store.store import Store
from server.access.authentication import Owner
from server.http import sse
from server.openai.retrieval.objects import DocumentsNow, StoreNow, progress_object

router = APIRouter(tags=["vector stores"])
_SECONDS = 1.0  # between two looks
_QUIET = 15  # looks without news, after which a comment tells proxies that somebody is there
_WINDOW = 30  # looks that the rate is of


@router.get("/api/v1/vector_stores/{store_id}/progress")
async def progress(
    store_id: str,
    owner: Owner,
    store: StoreNow,
    documents: DocumentsNow,
    last_event_id: Annotated[int | None, Header(ge=0)] = None,
) -> Response:
    """Events `progress` whenever something has changed, at most one a second, then `done`, when nothing is in progress,
    and the end. Each tells the whole state, so one that comes back with Last-Event-ID gets the present one, with the
    next id; where nothing is in progress any longer it gets 204, at which an EventSource stops.
    """
    now = await store.reads.run(store.vector_stores.progress, owner, store_id)
    if last_event_id is not None and not now.files.in_progress:
        return Response(status_code=204)
    events = _events(store, documents.scans, owner, store_id, now, last_event_id or 0)
    return StreamingResponse(events, media_type="text/event-stream", headers=sse.HEADERS)


async def _events(
    store: Store, scans: Scans, owner: str, store_id: str, now: Progress, number: int
) -> AsyncIterator[bytes]:
    """A reader that leaves cancels it, so that nobody looks any longer."""
    seen: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
    told, quiet, clock = None, 0, asyncio.get_running_loop().time
    while True:
        seen.append((clock(), now.passages))
        done, recognised = not now.files.in_progress, scans.pages_in(store_id)
        if (now, recognised) != told or done:
            number, told, quiet = number + 1, (now, recognised), 0
            payload = progress_object(now, now.passages - seen[0][1], clock() - seen[0][0], recognised)
            yield b"id: %d\n" % number + sse.typed("done" if done else "progress", payload)
        elif (quiet := quiet + 1) % _QUIET == 0:
            yield sse.PING
        if done:
            return
        await asyncio.sleep(_SECONDS)
        try:
            now = await store.reads.run(store.vector_stores.progress, owner, store_id)
        except NotFound:  # deleted meanwhile
            return
