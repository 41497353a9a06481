"""An answer for a caller who does not stream: all events, or the failure with its HTTP status."""

from starlette.types import Receive

from server.answering.events import Event
from server.answering.running import Running, cancelled_on_disconnect
from server.answering.transcript import Transcript
from server.http.errors import ApiError, failure_of_event

PATIENCE_SECONDS = 3600.0


async def collected(running: Running[Event], receive: Receive) -> Transcript:
    """Raises ApiError where the answer failed. The client leaving cancels `running`, though nothing is sent."""
    told = Transcript()
    async with cancelled_on_disconnect(running, receive):
        while (events := await running.next(PATIENCE_SECONDS)) is not None:
            for event in events:
                told.add(event)
    if told.error is not None:
        raise ApiError(failure_of_event(told.error))
    return told
