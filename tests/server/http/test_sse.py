"""The event stream as an ASGI application, driven message by message."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.wire.sse import SseParser
from server.answering.events import Done, ErrorEvent, Event, Sources, Stage, Started, TextDelta
from server.answering.run import Rendered
from server.answering.running import Running
from server.http import sse

STARTED = Started("trace_1", "session_1", "msg_1", "ragpod")
FAILURE = ErrorEvent("overloaded", "full", retryable=True, status=503, retry_after=2)
SCOPE = {"type": "http", "path": "/v1/chat/completions"}


class Client:
    """Collects what is sent; leaves when told to."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.changed = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        self.changed.set()

    async def until_sent(self, part: bytes) -> None:
        async with asyncio.timeout(60):
            while part not in self.body:
                self.changed.clear()
                await self.changed.wait()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


def named(event: Event) -> Rendered[Event]:
    return Rendered(event, b"data: %s\n\n" % type(event).__name__.encode())


def last(event: Event) -> Callable[[], Rendered[Event]]:
    return lambda: named(event)


async def played(*events: Event, hold: bool = False) -> AsyncIterator[Rendered[Event]]:
    for event in events:
        yield named(event)
    if hold:
        await asyncio.Event().wait()


async def respond(client: Client, running: Running[Any], heartbeat: float = 30.0) -> None:
    stream = sse.EventStream(running, heartbeat, {"X-Request-Id": "trace_1"}, first_byte=2 * heartbeat)
    await stream(SCOPE, client.receive, client.send)


async def test_the_stream_has_its_headers_and_every_event_once() -> None:
    client = Client()
    await respond(client, Running(played(STARTED, Sources(()), TextDelta("a"), Done("stop"))))
    assert client.status == 200
    assert client.headers["content-type"].startswith("text/event-stream")
    assert client.headers["cache-control"] == "no-store"
    assert client.headers["x-accel-buffering"] == "no"
    assert client.headers["x-request-id"] == "trace_1"
    assert "content-length" not in client.headers
    assert client.body == b"data: Started\n\ndata: Sources\n\ndata: TextDelta\n\ndata: Done\n\n"
    assert [m.get("more_body") for m in client.sent[1:]][-1] is False


async def test_a_failure_before_the_first_word_keeps_its_status() -> None:
    client = Client()
    await respond(client, Running(played(STARTED, Stage("search"), Sources(()), FAILURE, Done("error"))))
    assert (client.status, client.headers["retry-after"]) == (503, "2")
    assert orjson.loads(client.body)["error"]["code"] == "overloaded"


async def test_failed_work_comes_to_its_own_end_before_its_status_goes_out() -> None:
    stored = asyncio.Event()

    async def failing() -> AsyncIterator[Rendered[Event]]:
        yield named(FAILURE)
        asyncio.get_running_loop().call_soon(stored.set)
        await stored.wait()
        yield named(Done("error"))

    client, running = Client(), Running[Rendered[Event]](failing(), last=last(Done("cancelled")))
    await respond(client, running)
    assert (client.status, stored.is_set(), running.reason) == (503, True, None)


async def test_words_are_sent_even_where_the_failure_came_with_them() -> None:
    client = Client()
    await respond(client, Running(played(STARTED, Sources(()), TextDelta("a"), FAILURE, Done("error"))))
    assert client.status == 200
    assert b"TextDelta\n\ndata: ErrorEvent" in client.body


async def test_a_client_that_takes_nothing_ends_the_work() -> None:
    class Stalled(Client):
        async def send(self, message: Any) -> None:
            await super().send(message)
            if b"TextDelta" in message.get("body", b""):
                await asyncio.Event().wait()

    client, running = Stalled(), Running[Rendered[Event]](played(STARTED, TextDelta("a"), hold=True))
    await sse.EventStream(running, 30.0, patience=0.01)(SCOPE, client.receive, client.send)
    assert running.reason == "disconnected"
    assert "more_body" in client.sent[-1]
    assert client.sent[-1]["more_body"]


async def test_a_failure_after_the_first_word_is_an_event() -> None:
    client = Client()
    running: Running[Any] = Running(played(STARTED, TextDelta("a"), hold=True), last=last(FAILURE))
    task = asyncio.create_task(respond(client, running))
    await client.until_sent(b"TextDelta")
    running.cancel("stopped")
    await task
    assert client.status == 200
    assert client.body.endswith(b"data: ErrorEvent\n\n")


async def test_sources_go_out_before_the_first_word() -> None:
    client = Client()
    running: Running[Any] = Running(played(STARTED, Sources(()), hold=True), last=last(Done("cancelled")))
    task = asyncio.create_task(respond(client, running))
    await client.until_sent(b"Sources")
    assert client.status == 200
    client.gone.set()
    await task


async def test_the_first_byte_goes_out_in_time_whatever_the_answer_waits_for() -> None:
    client = Client()
    running: Running[Any] = Running(played(hold=True), last=last(Done("cancelled")))
    stream = sse.EventStream(running, 30.0, first_byte=0.01)
    task = asyncio.create_task(stream(SCOPE, client.receive, client.send))
    await client.until_sent(b": retrieving\n\n")
    assert client.status == 200
    client.gone.set()
    await task
    assert SseParser().feed(client.body) == [b"Done"]


async def test_a_failure_after_the_first_byte_is_an_event() -> None:
    client = Client()
    running: Running[Any] = Running(played(hold=True), last=last(FAILURE))
    task = asyncio.create_task(sse.EventStream(running, 30.0, first_byte=0.01)(SCOPE, client.receive, client.send))
    await client.until_sent(b": retrieving")
    running.cancel("stopped")
    await task
    assert client.body == b": retrieving\n\ndata: ErrorEvent\n\n"


async def test_a_failure_in_time_keeps_its_status_though_frames_were_held() -> None:
    client = Client()
    running: Running[Any] = Running(played(STARTED, Sources(()), hold=True), last=last(FAILURE))
    task = asyncio.create_task(
        sse.EventStream(running, 30.0, hold=60.0, first_byte=60.0)(SCOPE, client.receive, client.send)
    )
    await asyncio.sleep(0)
    running.cancel("stopped")
    await task
    assert client.status == 503


async def test_headers_and_comments_go_out_while_nothing_happens() -> None:
    client = Client()
    running: Running[Any] = Running(played(hold=True), last=last(Done("cancelled")))
    task = asyncio.create_task(respond(client, running, heartbeat=0.01))
    await client.until_sent(b": ping\n\n: ping\n\n")
    assert client.status == 200
    client.gone.set()
    await task
    assert SseParser().feed(client.body) == [b"Done"]


@pytest.mark.parametrize("events", [(), (STARTED,), (STARTED, TextDelta("a"))])
async def test_the_client_leaving_ends_the_work_at_any_point(events: tuple[Event, ...]) -> None:
    client = Client()
    running: Running[Any] = Running(played(*events, hold=True), last=last(Done("cancelled")))
    task = asyncio.create_task(respond(client, running))
    await asyncio.sleep(0)
    client.gone.set()
    async with asyncio.timeout(60):
        await task
    assert running.reason == "disconnected"


@given(st.text(), st.sampled_from(["delta", "error"]))
def test_whatever_the_text_an_event_is_one_event(text: str, name: str) -> None:
    for frame in (sse.data({"text": text}), sse.typed(name, {"text": text})):
        (event,) = SseParser().feed(frame)
        assert orjson.loads(event) == {"text": text}
