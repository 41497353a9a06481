"""An answer on its way to one reader: admitted, rendered event by event, kept, and stoppable by its trace id."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from server.answering.answer import Answerer, failed
from server.answering.ask import Ask
from server.answering.events import Done, ErrorEvent, Event
from server.answering.failures import ShuttingDown, failure_of
from server.answering.generators import Generators
from server.answering.running import Reason, Running
from server.records.turn import Status

E = TypeVar("E")
Fed = TypeVar("Fed", contravariant=True)
Sink = Callable[[E], Awaitable[bytes | None]]  # what it gives is shown in place of the event's own frames
Relayed = bytes | ErrorEvent
HOLD_SECONDS = 0.1
PATIENCE_SECONDS = 30.0
LATE_REFUSAL_SECONDS = 2.0
CUT = failure_of(ShuttingDown()).event()


class Rendered(NamedTuple, Generic[E]):
    """An event with its bytes in a stream, b"" where it has none."""

    event: E
    frames: bytes


class Renderer(Protocol[Fed]):
    """A wire format. It is fed the events of one answer in their order; what it gives depends on nothing else."""

    def feed(self, event: Fed) -> bytes:
        """What a stream shows of `event`."""
        ...


class Admitting(Protocol):
    def admit(self) -> AbstractAsyncContextManager[None]:
        """Raises QueueFull, QueueTimeout."""
        ...


class RunObserver(Protocol):
    def count_cancellation(self, reason: Reason) -> None: ...

    def count_relayed(self, status: str) -> None: ...


class Run(Generic[E]):
    """Each event is rendered, told to the sink, and only then given to the reader, who may be slow or gone.

    cancelled: the last event of an answer that is ended from outside; rendered and told to the sink like any other.
    cut: the last events, an error first, where it is the server that ends; none: as any that is ended from outside.
    heartbeat: seconds of silence after which a reader is told that the answer goes on. hold: seconds that what comes
    before the first word may wait for it, so that a failure before that is nothing but a failure. patience: seconds
    after which a reader who takes nothing has left.
    """

    def __init__(
        self,
        trace_id: str,
        events: AsyncGenerator[E, None],
        renderer: Renderer[E],
        cancelled: E,
        *,
        cut: Sequence[E] = (),
        sink: Sink[E] | None = None,
        heartbeat: float = 15.0,
        hold: float = HOLD_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self.trace_id, self.heartbeat, self.hold, self.patience = trace_id, heartbeat, hold, patience
        self._renderer, self._sink = renderer, sink
        self._cancelled, self._cut = (cancelled,), tuple(cut) or (cancelled,)
        self._ended = False
        self._frames = b""  # of what the sink is being told, and of the last event where it was cancelled
        self.running: Running[Rendered[E]] = Running(self._rendered(events), last=self._last)

    async def _rendered(self, events: AsyncGenerator[E, None]) -> AsyncIterator[Rendered[E]]:
        try:
            async with aclosing(events):
                async for event in events:
                    self._ended = isinstance(event, Done)
                    frames = self._renderer.feed(event)
                    if self._sink is not None:
                        self._frames = frames
                        frames = await self._sink(event) or frames
                        self._frames = b""
                    yield Rendered(event, frames)
            self._ended = True
        finally:
            if not self._ended:
                self._ended = True
                for event in self._endings():
                    before, self._frames = self._frames, self._frames + self._renderer.feed(event)
                    if self._sink is not None and (instead := await self._sink(event)):
                        self._frames = before + instead

    def _last(self) -> Rendered[E]:
        """Where it was cancelled before its first step, there is nothing for a sink to keep."""
        endings = self._endings()
        if not self._ended:
            self._frames += b"".join(map(self._renderer.feed, endings))
        return Rendered(endings[0], self._frames)

    def _endings(self) -> tuple[E, ...]:
        return self._cut if self.running.reason == "shutdown" else self._cancelled


class Runs:
    """Starts answers, and knows those that run now by owner and trace id."""

    def __init__(
        self,
        answerer: Answerer,
        generators: Generators,
        admission: Admitting,
        observer: RunObserver,
        heartbeat: float,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._answerer = answerer
        self._generators = generators
        self._admission = admission
        self._observer = observer
        self._heartbeat, self._patience = heartbeat, patience
        self._running: dict[tuple[str, str], Running[Any]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def ids(self) -> list[tuple[str, str]]:
        return list(self._running)

    def start(self, ask: Ask, renderer: Renderer[Event], sink: Sink[Event] | None = None) -> Run[Event]:
        """The answer, once there is room for it; a refusal is an ErrorEvent and Done."""
        hold = LATE_REFUSAL_SECONDS if self._generators.refuses_late else HOLD_SECONDS
        events, cancelled, cut = self._admitted(ask), Done("cancelled"), (CUT, Done("error"))
        return self._known(ask.owner, self._run(ask.trace_id, events, renderer, cancelled, cut, sink, hold))

    def relay(
        self,
        owner: str,
        trace_id: str,
        items: AsyncGenerator[Relayed, None],
        renderer: Renderer[Relayed],
        cancelled: ErrorEvent,
    ) -> Run[Relayed]:
        """The engine's own bytes, under the same admission, stopped and counted as answers are; no turn is kept."""
        events = self._relayed(trace_id, items)
        return self._known(owner, self._run(trace_id, events, renderer, cancelled, (CUT,)))

    def _run(
        self,
        trace_id: str,
        events: AsyncGenerator[E, None],
        renderer: Renderer[E],
        cancelled: E,
        cut: Sequence[E],
        sink: Sink[E] | None = None,
        hold: float = HOLD_SECONDS,
    ) -> Run[E]:
        beat, patience = self._heartbeat, self._patience
        return Run(
            trace_id, events, renderer, cancelled, cut=cut, sink=sink, heartbeat=beat, hold=hold, patience=patience
        )

    def stop(self, owner: str, trace_id: str) -> bool:
        """False where no such answer of this owner runs."""
        running = self._running.get((owner, trace_id))
        if running is None:
            return False
        running.cancel("stopped")
        return True

    async def end(self, owner: str, trace_id: str) -> bool:
        """As `stop`, and returns when all that is kept of it is kept."""
        running = self._running.get((owner, trace_id))
        if running is None:
            return False
        running.cancel("stopped")
        await running.close()
        return True

    async def aclose(self) -> None:
        """The server ends: every answer does now, each told so, and what is kept of it is kept."""
        ending = list(self._running.values())
        for running in ending:
            running.cancel("shutdown")
        await asyncio.gather(*(running.close() for running in ending))

    async def _admitted(self, ask: Ask) -> AsyncGenerator[Event, None]:
        try:
            async with self._admission.admit(), aclosing(self._answerer.answer(ask)) as events:
                async for event in events:
                    yield event
        except Exception as error:
            yield failed(error, ask.trace_id)
            yield Done("error")

    async def _relayed(self, trace_id: str, items: AsyncGenerator[Relayed, None]) -> AsyncGenerator[Relayed, None]:
        status = Status.CANCELLED
        try:
            async with self._admission.admit(), aclosing(items):
                failure = None
                async for item in items:
                    failure = item if isinstance(item, ErrorEvent) else failure
                    yield item
            status = Status.FAILED if failure else Status.COMPLETE
        except Exception as error:
            status = Status.FAILED
            yield failed(error, trace_id)
        finally:
            self._observer.count_relayed(status)

    def _known(self, owner: str, run: Run[E]) -> Run[E]:
        self._running[owner, run.trace_id] = run.running
        run.running.on_end(lambda: self._forget(owner, run.trace_id))
        return run

    def _forget(self, owner: str, trace_id: str) -> None:
        reason = self._running.pop((owner, trace_id)).reason
        if reason is not None:
            self._observer.count_cancellation(reason)
