"""However an engine cuts its stream, a client gets what was generated, character for character.

An engine's stream, made up and cut at random, goes through the real reader, citation parser and renderer, and is read
back by an SSE parser of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.base import TokenDelta, Usage
from models.wire.openai_wire import AnswerReader
from models.wire.thinking import ThinkSplitter
from server.answering.events import Done, Event, Sources, Started, UsageReport
from server.answering.transcript import Transcript
from server.answering.writing import Cited
from server.openai.chat.chunks import Chunks
from server.openai.chat.render import Form, completion
from tests.server.house import QUESTION, House
from tests.server.samples import EVIDENCE, fed
from tests.stub_engine import Finish, Raw

# Pieces that meet every rule: marks whole, in lists, out of range, in code and as links; bytes of one to four.
MARKS = (" [1]", "[2]", "[1, 2]", "[9]", "[", "]", "`a[1]`", "```\n[1]\n```\n", "[1](x)", "x[1]", "**[1]**")
WORDS = ("이틀 걸립니다", "1", "\n", "𝄞", "é", " ", "\r\n", '"', "\\", "\u2028", ": ", "{}")
PIECES = st.sampled_from((*MARKS, *WORDS, "<think>", "</think>", "data: ", "[DONE]"))
TEXTS = st.lists(PIECES, max_size=12).map("".join)
NOISE = st.sampled_from([b"", b": ping\n\n", b":\n\n", b"\n", b"event: x\n", b"id: 7\n", b"retry: 5\n"])
DATA = st.sampled_from([b"data: ", b"data:"])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@dataclass
class Generated:
    """One choice, as the engine made it."""

    text: str
    thoughts: str = ""
    reason: str = "stop"
    deltas: list[dict[str, Any]] = field(default_factory=list)


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """`text` in pieces, empty ones too."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@st.composite
def choices(draw: st.DrawFn) -> Generated:
    made = Generated(draw(TEXTS), draw(TEXTS), draw(st.sampled_from(["stop", "length", "content_filter"])))
    way = draw(st.sampled_from(["plain", "reasoning", "reasoning_content", "think"]))
    if way == "plain" or not made.thoughts.strip():
        made.thoughts, way = "", "plain"
    if way == "think":
        made.thoughts = made.thoughts.replace("<think>", "").replace("</think>", "") or "…"
        made.text = made.text.lstrip() or "답"
        text = f"<think>{made.thoughts}</think>\n\n{made.text}"
    else:
        made.text = made.text.strip() or "답"
        made.text = "답" + made.text  # a tag at the very beginning would open a block of thoughts
        made.deltas = [{way: part} for part in draw(cut(made.thoughts))] if way != "plain" else []
        text = made.text
    made.deltas += [{"content": part} for part in draw(cut(text))]
    return made


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Generated], bytes]:
    """The choices, and the bytes of a stream that holds them, interleaved."""
    made = draw(st.lists(choices(), min_size=1, max_size=3))
    waiting = [iter(choice.deltas) for choice in made]
    events: list[Mapping[str, Any]] = [_event(i, {"role": "assistant", "content": None}) for i in range(len(made))]
    order = draw(st.permutations([i for i, choice in enumerate(made) for _ in choice.deltas]))
    events += [_event(index, next(waiting[index])) for index in order]
    events += [_event(i, {}, choice.reason) for i, choice in enumerate(made)]
    events.append({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 5}})
    end = draw(ENDS)
    whole = b"".join(draw(NOISE).replace(b"\n", end) + draw(DATA) + orjson.dumps(event) + end + end for event in events)
    return made, whole + b"data: [DONE]" + end + end


def _event(index: int, delta: Mapping[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


def read(data: bytes, cuts: list[int], count: int) -> Iterator[TokenDelta]:
    reader = AnswerReader("m", ThinkSplitter, choices=count)
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        yield from reader.feed(data[start:end])
    yield from reader.last()


def told(deltas: Iterator[TokenDelta], count: int) -> list[Event]:
    """As server/answering/answer.py tells them."""
    cited = [Cited(EVIDENCE, index) for index in range(count)]
    events: list[Event] = [Started("trace_1", "s", "m", "ragpod"), Sources(EVIDENCE)]
    reasons: list[Any] = ["stop"] * count
    usage = Usage()
    for delta in deltas:
        events += cited[delta.choice].read(delta)
        if delta.finish_reason:
            reasons[delta.choice] = delta.finish_reason
            events += cited[delta.choice].last()
        usage = delta.usage or usage
    return [*events, UsageReport(usage), Done(reasons[0], tuple(reasons[1:]))]


def parsed(body: bytes) -> list[dict[str, Any]]:
    """By the book, and not by our own parser: WHATWG HTML 9.2.6."""
    events = [event for event in body.decode().split("\n\n") if event and not event.startswith(":")]
    assert events[-1] == "data: [DONE]"
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    assert sum(event == "data: [DONE]" for event in events) == 1
    return [orjson.loads(event[6:]) for event in events[:-1]]


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(streams(), st.data())
def test_what_is_sent_is_what_was_generated(stream: tuple[list[Generated], bytes], data: st.DataObject) -> None:
    made, raw = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=40), label="cuts"))
    events = told(read(raw, cuts, len(made)), len(made))
    form = Form("ragpod", choices=len(made), include_usage=True)
    chunks = parsed(fed(Chunks(form), events))
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    whole = completion(transcript, form)
    for index, choice in enumerate(made):
        parts = [part for chunk in chunks for part in chunk["choices"] if part["index"] == index]
        assert "".join(part["delta"].get("content") or "" for part in parts) == choice.text
        assert "".join(part["delta"].get("reasoning") or "" for part in parts) == choice.thoughts
        assert [part["finish_reason"] for part in parts if part["finish_reason"]] == [choice.reason]
        (marks,) = [part["delta"]["annotations"] for part in parts if "annotations" in part["delta"]]
        spans = [choice.text[mark["start_index"] : mark["end_index"]] for mark in marks]
        assert all(span.strip(" ,[]").isdigit() for span in spans)
        message = whole["choices"][index]["message"]
        assert (message["content"], message.get("reasoning", "")) == (choice.text, choice.thoughts)
        assert message["annotations"] == marks
    assert chunks[-1]["usage"]["total_tokens"] == whole["usage"]["total_tokens"] == 16
    assert len({chunk["id"] for chunk in chunks}) == 1


async def test_over_real_sockets_too_whatever_the_size_of_a_write(home: House) -> None:
    text = "이틀[1] 걸립니다, 𝄞 é <think> [1, 2] `a[1]` [9]"
    cuts = [text[start : start + 2] for start in range(0, len(text), 2)]
    raw = b"".join(b": x\r\n\r\ndata:" + orjson.dumps(_event(0, {"content": part})) + b"\r\n\r\n" for part in cuts)
    body = {"model": "ragpod", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    for size in (1, 2, 3, 5, 64, None):
        home.stub.write_size = size
        home.stub.script(Raw(raw), Finish())
        async with home.http.post(f"{home.url}/v1/chat/completions", json=body) as response:
            chunks = parsed(await response.read())
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        assert "".join(delta.get("content") or "" for delta in deltas) == text
        (marks,) = [delta["annotations"] for delta in deltas if "annotations" in delta]
        assert text[marks[0]["start_index"] : marks[0]["end_index"]] == "[1]"
