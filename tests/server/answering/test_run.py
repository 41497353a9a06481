"""Runs: rendered, told to a sink, given to the reader, in that order; and an Answerer of one's own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from models.base import Sampling
from models.engines.connected import ConnectedEngine
from retrieval.store.base.values import NamedStore, StoreFull
from retrieval.types import Retrieval, SearchParams
from server.access.admission import Admission
from server.answering.answer import Answerer, AnswerLimits
from server.answering.ask import Ask, new_id
from server.answering.events import Done, ErrorEvent, Event, Sources, Started, TextDelta, UsageReport
from server.answering.generators import Generators
from server.answering.question import Conversation
from server.answering.run import Relayed, Rendered, Run, Runs
from server.answering.running import Reason
from server.answering.transcript import Collected
from server.answering.work import Work
from server.records.turn import Status, Turn
from tests.server.samples import EVIDENCE
from tests.stub_engine import Finish, Hold, StubEngine
from tests.until import PATIENCE, until

STARTED = Started("trace_1", "session_1", "msg_1", "ragpod")


class Names:
    """A renderer; fed: the names of what it was fed."""

    def __init__(self) -> None:
        self.fed: list[str] = []

    def feed(self, event: object) -> bytes:
        self.fed.append(type(event).__name__ if not isinstance(event, bytes) else event.decode())
        return f"{self.fed[-1]} ".encode()


async def played(*events: Event, hold: bool = False) -> AsyncGenerator[Event, None]:
    for event in events:
        yield event
    if hold:
        await asyncio.Event().wait()


def run(events: AsyncGenerator[Event, None], names: Names, sink: Any = None) -> Run[Event]:
    return Run("trace_1", events, names, Done("cancelled"), sink=sink)


async def given(running: Run[Event]) -> list[Rendered[Event]]:
    got: list[Rendered[Event]] = []
    while (items := await running.running.next(PATIENCE)) is not None:
        got += items
    return got


async def test_each_event_is_rendered_and_kept_before_it_is_given() -> None:
    names, told = Names(), list[Event]()

    async def sink(event: Event) -> None:
        assert len(names.fed) == len(told) + 1
        told.append(event)
        await asyncio.sleep(0)

    got = await given(run(played(STARTED, TextDelta("a"), Done("stop")), names, sink))
    assert [item.event for item in got] == told == [STARTED, TextDelta("a"), Done("stop")]
    assert b"".join(item.frames for item in got) == b"Started TextDelta Done "


@pytest.mark.parametrize("reason", ["disconnected", "stopped", "shutdown"])
async def test_a_cancelled_answer_has_one_last_event_that_is_rendered_and_kept_like_any_other(reason: Reason) -> None:
    names, told = Names(), list[Event]()

    async def sink(event: Event) -> None:
        told.append(event)

    running = run(played(STARTED, hold=True), names, sink)
    assert await running.running.next(PATIENCE) == [Rendered(STARTED, b"Started ")]
    running.running.cancel(reason)
    assert await given(running) == [Rendered(Done("cancelled"), b"Done ")]
    assert told == [STARTED, Done("cancelled")]


async def test_cancelled_before_its_first_step_it_is_rendered_and_there_is_nothing_to_keep() -> None:
    names, told = Names(), list[Event]()

    async def sink(event: Event) -> None:
        told.append(event)

    running = run(played(STARTED), names, sink)
    running.running.cancel("shutdown")
    assert await given(running) == [Rendered(Done("cancelled"), b"Done ")]
    assert told == []


async def test_cancelled_while_its_end_is_kept_it_ends_once_and_its_frames_are_given() -> None:
    names, keeping, kept = Names(), asyncio.Event(), asyncio.Event()

    async def sink(event: Event) -> None:
        if isinstance(event, Done):
            keeping.set()
            await kept.wait()

    running = run(played(STARTED, Done("stop")), names, sink)
    await keeping.wait()
    running.running.cancel("disconnected")
    got = await given(running)
    assert b"".join(item.frames for item in got) == b"Started Done "
    assert names.fed == ["Started", "Done"]


class Watching:
    """An observer and a recorder. turns: those that have ended. fails: from which call on nothing can be kept."""

    def __init__(self, fails: str = "") -> None:
        self.turns: list[Turn] = []
        self.counted: list[str] = []
        self.called: list[str] = []
        self._fails = fails

    async def begin(self, turn: Turn) -> None:
        assert (turn.status, turn.answer) == (Status.RUNNING, "")
        self._call("begin")

    async def end(self, turn: Turn) -> None:
        self._call("end")
        self.turns.append(turn)

    async def save(self, turn: Turn) -> None:
        self._call("save")
        self.turns.append(turn)

    def _call(self, name: str) -> None:
        self.called.append(name)
        if self._fails == name:
            raise StoreFull("no room")

    def count_answer(self, status: str, work: Work) -> None:
        self.counted.append(status)

    def count_cancellation(self, reason: Reason) -> None:
        self.counted.append(reason)

    def count_relayed(self, status: str) -> None:
        self.counted.append(f"relayed {status}")


STORE = NamedStore("vs_1", "faq", created_at=0, expired=False, number=1, head=0, space=None)


class Found:
    """A retriever that finds the sample's evidence."""

    async def search(self, owner: str, stores: Sequence[NamedStore], query: str, params: SearchParams) -> Retrieval:
        return Retrieval(query, EVIDENCE)


@asynccontextmanager
async def generators(stub: StubEngine) -> AsyncIterator[Generators]:
    async with ConnectedEngine(stub.url, model=stub.model) as engine:
        await engine.wait_ready(PATIENCE)
        yield Generators(engine, engine.generator)


def question(owner: str = "alice") -> Ask:
    talk, params = Conversation("배송은 며칠 걸리나요?"), SearchParams()
    return Ask(owner, "ragpod", talk, (STORE,), params, Sampling(max_tokens=50), trace_id=new_id("trace"))


async def test_an_answerer_is_built_from_its_parts_alone() -> None:
    watching = Watching()
    async with StubEngine() as stub, generators(stub) as writers:
        stub.script("이틀", "[1]", Finish())
        answerer = Answerer(Found(), writers, AnswerLimits(), watching, watching)
        events = [event async for event in answerer.answer(question())]
    assert [type(event) for event in events[:1]] == [Started]
    assert next(event for event in events if isinstance(event, Sources)).evidence == EVIDENCE
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "이틀[1]"
    assert isinstance(events[-2], UsageReport)
    assert events[-1] == Done("stop")
    assert ([turn.answer for turn in watching.turns], watching.counted) == (["이틀[1]"], ["complete"])
    assert watching.called == ["begin", "end"]


@pytest.mark.parametrize(
    ("fails", "called", "late"),
    [("begin", ["begin", "save"], ()), ("end", ["begin", "end"], ("not_stored",))],
)
async def test_an_answer_that_cannot_be_kept_is_given_and_says_so(
    fails: str, called: list[str], late: tuple[str, ...]
) -> None:
    watching = Watching(fails)
    async with StubEngine() as stub, generators(stub) as writers:
        stub.script("이틀", "[1]", Finish())
        answerer = Answerer(Found(), writers, AnswerLimits(), watching, watching)
        events = [event async for event in answerer.answer(question())]
    assert events[-1] == Done("stop", (), late)
    assert (watching.called, watching.counted) == (called, ["complete"])


async def test_what_a_sink_gives_is_shown_in_place_of_the_event() -> None:
    async def sink(event: Event) -> bytes | None:
        return b"instead" if isinstance(event, Done) else None

    got = await given(run(played(STARTED, Done("stop")), Names(), sink))
    assert [item.frames for item in got] == [b"Started ", b"instead"]
    running = run(played(STARTED, hold=True), Names(), sink)
    assert await running.running.next(PATIENCE) == [Rendered(STARTED, b"Started ")]
    running.running.cancel("stopped")
    assert await given(running) == [Rendered(Done("cancelled"), b"instead")]


async def test_only_the_owner_stops_an_answer() -> None:
    watching = Watching()
    async with StubEngine() as stub, generators(stub) as writers:
        stub.script("이틀", Hold())
        runs = Runs(
            Answerer(Found(), writers, AnswerLimits(), watching, watching),
            writers,
            Admission(1, 1, PATIENCE),
            watching,
            15.0,
        )
        ask, collected = question(), Collected()
        running = runs.start(ask, collected)
        await until(lambda: collected.told.text == "이틀", PATIENCE)
        assert not runs.stop("bob", ask.trace_id)
        assert not runs.stop("alice", "trace_2")
        assert runs.ids() == [("alice", ask.trace_id)]
        assert runs.stop("alice", ask.trace_id)
        await given(running)
        await until(lambda: len(runs) == 0, PATIENCE)
        await stub.idle()
    assert collected.told.done == Done("cancelled")
    assert [turn.status for turn in watching.turns] == [Status.CANCELLED]
    assert watching.counted == ["cancelled", "stopped"]


async def relaying(closed: list[bool], *, hold: bool = False, fail: bool = False) -> AsyncGenerator[Relayed, None]:
    try:
        yield b"one"
        if fail:
            raise KeyError("unforeseen")
        if hold:
            await asyncio.Event().wait()
    finally:
        closed.append(True)


STOPPED = ErrorEvent("cancelled", "stopped", False, 499)


def relays(watching: Watching) -> Runs:
    unused: Any = None
    return Runs(unused, unused, Admission(3, 3, PATIENCE), watching, 15.0)


async def test_what_is_relayed_is_stopped_and_counted_as_answers_are() -> None:
    watching, closed = Watching(), list[bool]()
    runs = relays(watching)
    whole = runs.relay("alice", "trace_1", relaying(closed), Names(), STOPPED)
    failing = runs.relay("alice", "trace_2", relaying(closed, fail=True), Names(), STOPPED)
    held = runs.relay("alice", "trace_3", relaying(closed, hold=True), Names(), STOPPED)
    assert [item.event for item in await given(whole)] == [b"one"]  # type: ignore[arg-type]
    one, failure = [item.event for item in await given(failing)]  # type: ignore[arg-type]
    assert (one, isinstance(failure, ErrorEvent) and failure.code) == (b"one", "internal_error")
    assert runs.stop("alice", "trace_3")
    assert [item.event for item in await given(held)][-1] == STOPPED  # type: ignore[arg-type]
    assert closed == [True] * 3
    assert watching.counted == ["relayed complete", "relayed failed", "relayed cancelled", "stopped"]


async def test_closing_ends_everything_that_runs() -> None:
    watching, closed = Watching(), list[bool]()
    runs = relays(watching)
    for number in range(3):
        runs.relay("alice", str(number), relaying(closed, hold=True), Names(), STOPPED)
    await until(lambda: len(runs) == 3, PATIENCE)
    await asyncio.sleep(0)
    await runs.aclose()
    assert closed == [True] * 3
    assert watching.counted.count("shutdown") == 3
