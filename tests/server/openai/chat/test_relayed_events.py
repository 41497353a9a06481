"""The engine's stream passed on: whole events however it is cut, its tail, one [DONE]."""

import orjson
import pytest

from models.wire.sse import SseParser
from server.answering.events import ErrorEvent
from server.openai.chat.relayed_events import END, WholeEvents
from tests.server.samples import fed

FAILURE = ErrorEvent("engine_unavailable", "gone", True, 503)
EVENTS = [b'{"a":"\xed\x95\x9c [DONE]"}', b'{"b":1}', b"[DONE]"]
LINES = [b"\n", b"\r\n", b"\r"]


def stream(first: bytes, second: bytes, tail: bytes) -> bytes:
    """first, second: the two line ends after an event. tail: what follows [DONE]."""
    heads = b"".join(b"data: " + event + first + second for event in EVENTS[:2])
    return b": hello" + first + second + heads + b"data: [DONE]" + tail


def read(sent: bytes) -> list[bytes]:
    assert sent.count(b"data: [DONE]") == 1
    return SseParser().feed(sent)


@pytest.mark.parametrize(
    "tail", [b"", b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\r", b"\n\ndata: [DONE]\n\n"]
)
@pytest.mark.parametrize("second", LINES)
@pytest.mark.parametrize("first", LINES)
def test_every_cut_gives_whole_events_and_the_whole_stream(first: bytes, second: bytes, tail: bytes) -> None:
    if (first, second) == (b"\r", b"\n"):
        return  # one line end, not two
    raw = stream(first, second, tail)
    for cut in range(len(raw) + 1):
        events, parser = WholeEvents(), SseParser()
        shown = [events.feed(piece) for piece in (raw[:cut], raw[cut:]) if piece]
        for frames in shown:
            assert parser.feed(frames) is not None
            assert parser.feed(b": ping\n\n") == []  # a heartbeat there is no part of an event
        assert read(b"".join(shown) + events.feed(END)) == EVENTS
    assert read(fed(WholeEvents(), [*(raw[i : i + 1] for i in range(len(raw))), END])) == EVENTS


@pytest.mark.parametrize("end", LINES)
def test_a_stream_that_stops_anywhere_still_ends_in_one_done(end: bytes) -> None:
    raw = stream(end, end, end + end)
    for stop in range(len(raw)):
        *events, done = read(fed(WholeEvents(), [raw[:stop], END] if stop else [END]))
        assert done == b"[DONE]"
        if events and b"error" in events[-1]:
            assert "inside an event" in orjson.loads(events.pop())["error"]["message"]
        assert events == EVENTS[: len(events)]


def test_what_is_whole_is_shown_at_once() -> None:
    events = WholeEvents()
    assert events.feed(b'data: {"a"') == b""
    assert events.feed(b":1}\n\nda") == b'data: {"a":1}\n\n'
    assert events.feed(b"ta: 2\r\n\r\n") == b"data: 2\r\n\r\n"


def test_a_failure_in_mid_stream_is_an_error_and_done() -> None:
    sent = fed(WholeEvents(), [b'data: {"a":1}\n\ndata: {"half', FAILURE])
    whole, error, done = read(sent)
    assert (whole, done) == (b'{"a":1}', b"[DONE]")
    assert orjson.loads(error)["error"]["message"] == "gone"


@pytest.mark.parametrize("later", [FAILURE, b"data: more\n\n", b"data: [DONE]\n\n", END])
def test_after_its_done_nothing_more_is_shown(later: bytes | ErrorEvent) -> None:
    sent = fed(WholeEvents(), [b'data: {"a":1}\n\ndata: [DONE]\nid: 3\n\n', later, END])
    assert sent == b'data: {"a":1}\n\ndata: [DONE]\nid: 3\n\n'
