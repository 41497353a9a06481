"""How long the ingest waits for what."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

_LONGEST_PAUSE = 30.0
_DOUBLINGS = 30


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. first_pause: before a file is tried again; each pause is twice the one before. index_pause: before
    indexes are.

    lease: how long a version stays with a worker of which nothing is heard. renewal: between two signs of life.
    poll: between two looks for what other processes have put up, left or settled. patience: a file that could not be
    ingested for so long, for whatever passes, has failed, until somebody has it tried again; while no server runs, none
    of that passes. deaths: of servers, each while it was at one file that it got nowhere with; then that file has
    failed. death_pause: for which the server must have lived without it, before it is tried for the third time: one
    that is killed again and again, whatever it does, condemns no file.
    """

    first_pause: float = 0.25
    index_pause: float = 5.0
    lease: float = 60.0
    renewal: float = 20.0
    poll: float = 2.0
    patience: float = 24 * 3600.0
    deaths: int = 3
    death_pause: float = 60.0

    def pause(self, tries: int) -> float:
        """After so many that failed, one at least."""
        return min(self.first_pause * 2.0 ** min(tries - 1, _DOUBLINGS), max(_LONGEST_PAUSE, self.first_pause))


class Pauses:
    """Each is twice the one before, up to half a minute. first: seconds."""

    def __init__(self, first: float) -> None:
        self._first = self._next = first

    def next(self) -> float:
        pause, self._next = self._next, min(2 * self._next, _LONGEST_PAUSE)
        return pause

    def begin_anew(self) -> None:
        self._next = self._first


async def rung(event: asyncio.Event, within: float | None) -> None:
    """Returns when the event is set, or so many seconds are over. None: however long it takes."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
