import orjson

from models.wire.sse import SseParser
from server.answering.transcript import Transcript
from server.api.render import TypedEvents, answer_of
from server.http import sse
from tests.server.samples import ANSWER, TEXT, fed


def test_typed_events_name_every_step_and_done_is_last() -> None:
    lines = fed(TypedEvents(sse.typed), ANSWER).decode().splitlines()
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names[:5] == ["started", "stage", "sources", "stage", "reasoning"]
    assert names[5:] == ["delta", "delta", "citation", "delta", "usage", "done"]


def test_the_stream_and_the_whole_say_the_same() -> None:
    told = Transcript()
    for event in ANSWER:
        told.add(event)
    answer = answer_of(told)
    renderer = TypedEvents(lambda name, payload: sse.data({"type": name, **payload}))
    frames = [orjson.loads(data) for data in SseParser().feed(fed(renderer, ANSWER))]
    deltas = "".join(frame["text"] for frame in frames if frame["type"] == "delta")
    assert deltas == answer["answer"] == TEXT
    assert frames[-1]["metadata"] == answer["metadata"]
    assert next(f for f in frames if f["type"] == "sources")["sources"] == answer["sources"]
    assert answer["success"] is True
    assert answer["metadata"]["trace_id"] == "trace_abc"
    assert answer["metadata"]["suggested_questions"] == []
