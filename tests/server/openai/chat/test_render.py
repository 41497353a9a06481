from typing import Any

import orjson
import pytest

from models.wire.sse import SseParser
from server.answering.events import Done, ErrorEvent, Event, Started, TextDelta
from server.answering.transcript import Transcript
from server.openai.chat.chunks import Chunks
from server.openai.chat.render import Form, completion
from tests.server.samples import ANSWER, TEXT, fed


def chunks(*events: Event, **form: Any) -> list[dict[str, Any]]:
    """Every chunk; the last event must be the only [DONE]."""
    *data, done = SseParser().feed(fed(Chunks(Form("ragpod", created=5, **form)), events))
    assert done == b"[DONE]"
    return [orjson.loads(event) for event in data]


def told(*events: Event) -> Transcript:
    transcript = Transcript()
    for event in events:
        transcript.add(event)
    return transcript


def joined(parts: list[dict[str, Any]], field: str) -> str:
    return "".join(choice["delta"].get(field) or "" for part in parts for choice in part["choices"])


def test_the_first_chunk_has_the_role_and_the_sources() -> None:
    first = chunks(*ANSWER)[0]
    delta = first["choices"][0]["delta"]
    assert (delta["role"], delta["content"]) == ("assistant", "")
    assert [c["chunk_id"] for c in delta["context"]["citations"]] == ["chunk_1", "chunk_2"]
    citation = delta["context"]["citations"][0]
    assert {"content", "title", "url", "filepath", "chunk_id", "file_id", "score", "scores"} <= citation.keys()
    assert first["ragpod"]["trace_id"] == "trace_abc"
    assert (first["object"], first["id"], first["created"]) == ("chat.completion.chunk", "chatcmpl-abc", 5)


def test_the_last_chunk_has_the_annotations_and_the_finish_reason_and_no_other_has() -> None:
    *others, last = chunks(*ANSWER)
    (annotation,) = last["choices"][0]["delta"]["annotations"]
    assert annotation["type"] == "file_citation"
    assert TEXT[annotation["start_index"] : annotation["end_index"]] == "[1]"
    assert (annotation["file_id"], annotation["filename"], annotation["index"]) == ("file_1", "faq.md", 0)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert {part["choices"][0]["finish_reason"] for part in others} == {None}
    assert last["ragpod"]["timings_ms"] == {"total": 12.5}
    assert last["ragpod"]["degraded"] == ["rerank: timeout"]


def test_joined_deltas_are_the_whole_answer_and_reasoning_is_never_in_it() -> None:
    parts, whole = chunks(*ANSWER), completion(told(*ANSWER), Form("ragpod"))
    message = whole["choices"][0]["message"]
    assert joined(parts, "content") == message["content"] == TEXT
    assert joined(parts, "reasoning") == joined(parts, "reasoning_content") == message["reasoning"] == "생각"
    assert parts[0]["choices"][0]["delta"]["context"] == message["context"]
    assert parts[-1]["choices"][0]["delta"]["annotations"] == message["annotations"]
    assert parts[-1]["ragpod"] == whole["ragpod"]


def test_usage_has_a_chunk_of_its_own_only_where_asked_for() -> None:
    assert all("usage" not in part for part in chunks(*ANSWER))
    *others, last = chunks(*ANSWER, include_usage=True)
    assert last["choices"] == []
    assert all(part["usage"] is None for part in others)
    assert last["usage"] == completion(told(*ANSWER), Form("ragpod"))["usage"]
    assert (last["usage"]["prompt_tokens"], last["usage"]["total_tokens"]) == (20, 27)
    assert last["usage"]["completion_tokens_details"] == {"reasoning_tokens": 2}


def test_an_error_is_one_event_before_done() -> None:
    failure = ErrorEvent("engine_unavailable", "it died", retryable=True, status=503, type="service_unavailable_error")
    *_, last = chunks(*ANSWER[:6], failure, Done("error"))
    assert last == {
        "error": {
            "message": "it died",
            "type": "service_unavailable_error",
            "param": None,
            "code": "engine_unavailable",
        }
    }


@pytest.mark.parametrize(("reason", "shown"), [("stop", "stop"), ("length", "length"), ("cancelled", "stop")])
def test_finish_reasons_are_openais(reason: Any, shown: str) -> None:
    parts = chunks(*ANSWER[:-1], Done(reason))
    assert parts[-1]["choices"][0]["finish_reason"] == shown
    assert parts[-1]["ragpod"].get("cancelled", False) == (reason == "cancelled")


def test_an_answer_stopped_before_its_sources_is_still_well_formed() -> None:
    parts = chunks(Started("trace_abc", "s", "m", "ragpod"), Done("cancelled"))
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None, "stop"]


def test_each_text_delta_is_one_chunk() -> None:
    deltas = [part["choices"][0]["delta"] for part in chunks(*ANSWER) if part["choices"]]
    said = [event.text for event in ANSWER if isinstance(event, TextDelta)]
    assert [delta["content"] for delta in deltas if delta.get("content")] == said
