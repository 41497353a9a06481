"""Any events of an answer become a well-formed stream of typed events, which add up to the response."""

from typing import Any

import hypothesis.strategies as st
from hypothesis import given
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from models.base import ToolCall, Usage
from server.answering.events import (
    Citation,
    Done,
    ErrorEvent,
    Event,
    ReasoningDelta,
    Sources,
    Stage,
    Started,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from server.openai.responses.output import Frame, shown
from server.openai.responses.request import LOGPROBS, RESULTS, ResponseRequest
from server.openai.responses.stream import ResponseStream
from tests.server.samples import ANSWER, EVIDENCE, TEXT

REQUEST = ResponseRequest(model="ragpod", input="배송은 며칠 걸리나요?")
FRAME = Frame("0" * 32, 1, REQUEST, queries=("배송은 며칠 걸리나요?",), include=frozenset({RESULTS, LOGPROBS}))
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
STARTED = Started("trace_abc", "session_1", "msg_1", "ragpod")

texts = st.text(min_size=1, max_size=5)
written = st.one_of(
    st.builds(TextDelta, texts),
    st.builds(ReasoningDelta, texts),
    st.builds(
        lambda index, text: ToolCallDelta(ToolCall(index, f"call_{index}", "look_up", text)),
        st.integers(0, 2),
        st.text(max_size=4),
    ),
    st.just(Citation(1, "chunk_1", "file_1", 0, 3)),
)
endings = st.sampled_from(
    [
        (UsageReport(Usage(5, 6)), Done("stop")),
        (UsageReport(Usage(5, 6)), Done("length")),
        (Done("cancelled"),),
        (ErrorEvent("engine_unavailable", "the engine broke off", True, 503), Done("error")),
    ]
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """A whole answer, or one that ended after any of its events."""
    events: list[Event] = [STARTED, Stage("search"), Sources(EVIDENCE), Stage("generate")]
    for event in draw(st.lists(written, max_size=12)):
        if isinstance(event, Citation):
            events.append(TextDelta("[1]"))
        events.append(event)
    return [*events[: draw(st.integers(0, len(events)))], *draw(endings)]


def fed(events: list[Event] | tuple[Event, ...], frame: Frame = FRAME) -> tuple[list[Any], dict[str, Any]]:
    stream = ResponseStream(frame, lambda: 2.0)
    made = [one for event in events for one in stream.feed(event)]
    assert stream.response is not None
    return made, stream.response


@given(answers())
def test_every_event_and_the_response_have_the_sdks_types(events: list[Event]) -> None:
    made, response = fed(events)
    for one in made:
        EVENT.validate_python(one)
    Response.model_validate(response)


@given(answers())
def test_sequence_numbers_count_from_0_and_what_is_added_is_done(events: list[Event]) -> None:
    made, _ = fed(events)
    assert [one["sequence_number"] for one in made] == list(range(len(made)))
    assert made[0]["type"] == "response.created"
    for kind in ("output_item", "content_part"):
        added = [one["output_index"] for one in made if one["type"] == f"response.{kind}.added"]
        done = [one["output_index"] for one in made if one["type"] == f"response.{kind}.done"]
        assert added == sorted(done) == sorted(set(added))
    assert sum(one["type"] in ENDS for one in made) == 1
    assert made[-1]["type"] in ENDS


ENDS = ("response.completed", "response.incomplete", "response.failed")


@given(answers())
def test_joined_deltas_are_the_done_text_and_the_responses_text(events: list[Event]) -> None:
    made, response = fed(events)
    assert made[-1]["response"] == shown(response, FRAME.include)
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    deltas, dones = texts_of(made, "delta", "delta"), texts_of(made, "done", "text")
    assert deltas == dones == said == Response.model_validate(response).output_text
    called: dict[str, str] = {}
    for call in (event.call for event in events if isinstance(event, ToolCallDelta)):
        called[call.id] = called.get(call.id, "") + call.arguments
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    assert {item["call_id"]: item["arguments"] for item in calls} == called
    assert len(calls) == len(called)
    for one in (one for one in made if one["type"] == "response.output_item.done"):
        assert one["item"] == response["output"][one["output_index"]]


def texts_of(made: list[Any], kind: str, field: str) -> str:
    return "".join(one[field] for one in made if one["type"] == f"response.output_text.{kind}")


def test_a_cited_answer_is_a_search_thoughts_and_a_message() -> None:
    made, response = fed(ANSWER)
    kinds = [item["type"] for item in response["output"]]
    assert kinds == ["file_search_call", "reasoning", "message"]
    search, thoughts, message = response["output"]
    assert (search["status"], search["queries"], len(search["results"])) == ("completed", list(FRAME.queries), 2)
    assert thoughts["content"] == [{"type": "reasoning_text", "text": "생각"}]
    (part,) = message["content"]
    assert part["text"] == TEXT
    (cited,) = part["annotations"]
    assert part["text"][cited["start_index"] : cited["end_index"]] == "[1]"
    assert (cited["type"], cited["file_id"], cited["index"]) == ("file_citation", "file_1", 2)
    assert response["usage"]["input_tokens_details"]["cached_tokens"] == 4
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] == 2
    names = [one["type"].removeprefix("response.") for one in made]
    assert names[:6] == [
        "created",
        "in_progress",
        "output_item.added",
        "file_search_call.in_progress",
        "file_search_call.searching",
        "file_search_call.completed",
    ]
    assert "output_text.annotation.added" in names


def test_results_and_log_probabilities_come_only_where_they_are_asked_for() -> None:
    frame = Frame(FRAME.key, 1, REQUEST, queries=FRAME.queries)
    made, response = fed(
        [
            STARTED,
            Stage("search"),
            Sources(EVIDENCE),
            TextDelta("네", logprobs=({"token": "네", "logprob": -0.1, "bytes": [1], "top_logprobs": []},)),
            Done("stop"),
        ],
        frame,
    )
    told = made[-1]["response"]
    assert told["output"][0]["results"] is None
    assert told["output"][1]["content"][0]["logprobs"] == []
    assert response["output"][0]["results"]
    assert response["output"][1]["content"][0]["logprobs"][0]["token"] == "네"


def test_calls_of_several_functions_are_items_of_their_own() -> None:
    events: list[Event] = [
        STARTED,
        Sources(()),
        ToolCallDelta(ToolCall(0, "call_a", "add", '{"a"')),
        ToolCallDelta(ToolCall(0, "", "", ":1}")),
        ToolCallDelta(ToolCall(1, "call_b", "sub", "{}")),
        Done("tool_calls"),
    ]
    _, response = fed(events, Frame(FRAME.key, 1, REQUEST))
    calls = [(item["call_id"], item["name"], item["arguments"], item["status"]) for item in response["output"]]
    assert calls == [("call_a", "add", '{"a":1}', "completed"), ("call_b", "sub", "{}", "completed")]
    assert response["status"] == "completed"


def test_calls_whose_pieces_alternate_stay_apart_and_a_whole_one_is_completed_though_the_answer_was_cut() -> None:
    events: list[Event] = [
        STARTED,
        Sources(()),
        ToolCallDelta(ToolCall(0, "call_a", "", '{"a"')),
        ToolCallDelta(ToolCall(1, "call_b", "sub", '{"b"')),
        ToolCallDelta(ToolCall(0, "", "add", ":1}")),
        ToolCallDelta(ToolCall(1, "", "", ":")),
        Done("length"),
    ]
    _, response = fed(events, Frame(FRAME.key, 1, REQUEST))
    calls = [(item["call_id"], item["name"], item["arguments"], item["status"]) for item in response["output"]]
    assert calls == [("call_a", "add", '{"a":1}', "completed"), ("call_b", "sub", '{"b":', "incomplete")]


def test_a_mark_after_more_thoughts_is_counted_in_its_own_message() -> None:
    events: list[Event] = [STARTED, Sources(EVIDENCE), TextDelta("배송은 "), ReasoningDelta("음"), TextDelta("이틀 ")]
    events += [TextDelta("[1]"), Citation(1, "chunk_1", "file_1", 7, 10), Done("stop")]
    _, response = fed(events, Frame(FRAME.key, 1, REQUEST))
    assert [item["type"] for item in response["output"]] == ["message", "reasoning", "message"]
    (part,) = response["output"][-1]["content"]
    (cited,) = part["annotations"]
    assert part["text"][cited["start_index"] : cited["end_index"]] == "[1]"
    assert cited["index"] == cited["start_index"]


def test_what_is_said_without_evidence_is_a_refusal_where_a_format_was_asked_for() -> None:
    frame = Frame(FRAME.key, 1, REQUEST, queries=FRAME.queries, refuses=True)
    made, response = fed(
        [STARTED, Stage("search"), Sources((), no_evidence=True), TextDelta("모릅니다."), Done("stop")], frame
    )
    assert response["output"][1]["content"] == [{"type": "refusal", "refusal": "모릅니다."}]
    assert [one["type"] for one in made if "refusal" in one["type"]] == [
        "response.refusal.delta",
        "response.refusal.done",
    ]


def test_padding_hides_how_long_a_delta_is() -> None:
    frame = Frame(FRAME.key, 1, REQUEST, obfuscate=True)
    made, _ = fed([STARTED, Sources(()), TextDelta("a"), TextDelta("twelve chars"), Done("stop")], frame)
    deltas = [one for one in made if one["type"] == "response.output_text.delta"]
    assert {len(one["delta"]) + len(one["obfuscation"]) for one in deltas} == {32}
