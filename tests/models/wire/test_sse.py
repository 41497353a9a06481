"""The event-stream parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.wire.sse import SseError, SseParser


def feed_in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    parser, events, start = SseParser(), [], 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        events += parser.feed(data[start:cut])
        start = cut
    return events


def test_one_event_is_the_data_of_its_lines() -> None:
    assert SseParser().feed(b"data: one\ndata: two\n\ndata:three\n\n") == [b"one\ntwo", b"three"]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_of_the_specification_is_read(newline: bytes) -> None:
    stream = newline.join(
        [b": ping", b"event: message", b"id: 1", b"retry: 5", b"data: a", b"data", b"data:  b", b"", b""]
    )
    assert SseParser().feed(stream) == [b"a\n\n b"]


def test_comments_and_events_without_data_give_nothing() -> None:
    assert SseParser().feed(b": keep-alive\n\nevent: ping\n\nid: 3\n\n\n\n") == []


def test_an_event_without_its_blank_line_is_not_given() -> None:
    assert SseParser().feed(b'data: {"half": 1}\n') == []


def test_a_line_without_end_is_refused_at_the_limit() -> None:
    parser = SseParser(event_bytes=100)
    parser.feed(b"data: " + b"x" * 80)
    with pytest.raises(SseError, match="100 bytes"):
        parser.feed(b"x" * 40)


def test_an_event_of_endless_lines_is_refused_at_the_limit() -> None:
    parser = SseParser(event_bytes=100)
    for _ in range(14):
        assert parser.feed(b"data: 123456\n") == []
    with pytest.raises(SseError):
        parser.feed(b"data: 123456\n")


LINES = st.one_of(
    st.text('안녕 한글a[1]{":', max_size=12).map(lambda text: b"data: " + text.encode()),
    st.sampled_from([b"", b"", b"data", b"data:", b": comment", b"event: x", b"id: 7", b"nonsense"]),
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=20)


@given(STREAMS, st.lists(st.integers(0, 500), max_size=12))
def test_any_cutting_of_the_bytes_gives_the_same_events(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    data = b"".join(line + end for line, end in lines)
    whole = SseParser().feed(data)
    assert feed_in_pieces(data, cuts) == whole
    assert feed_in_pieces(data, list(range(len(data)))) == whole
