"""A run to its client: as a stream, or as one whole body."""

from typing import Any, TypeVar

import orjson
from starlette.responses import Response
from starlette.types import Receive

from server.answering.events import ErrorEvent
from server.answering.failures import failure_of_event
from server.answering.run import Run
from server.http.errors import ApiError
from server.http.leaving import cancelled_on_disconnect
from server.http.sse import EventStream

PATIENCE_SECONDS = 3600.0
E = TypeVar("E")


def streamed(run: Run[E]) -> EventStream[E]:
    """Server-sent events: what the renderer of the run makes of each event."""
    return EventStream(run.running, run.heartbeat, headers_of(run), run.hold, patience=run.patience)


async def ended(run: Run[E], receive: Receive) -> None:
    """Until its last event: then its renderer knows the whole. The client's leaving cancels it, though nothing is sent.

    Raises ApiError where the answer failed.
    """
    failure: ErrorEvent | None = None
    async with cancelled_on_disconnect(run.running, receive):
        while (items := await run.running.next(PATIENCE_SECONDS)) is not None:
            for item in items:
                if failure is None and isinstance(item.event, ErrorEvent):
                    failure = item.event
    if failure is not None:
        raise ApiError(failure_of_event(failure))


def whole(run: Run[E], body: Any) -> Response:
    """body: JSON, or bytes of it as they are."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(content, headers=headers_of(run), media_type="application/json")


def headers_of(run: Run[E]) -> dict[str, str]:
    return {"X-Request-Id": run.trace_id}
