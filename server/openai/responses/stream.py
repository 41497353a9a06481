"""House events to the typed events of the Responses API, and to the response that they add up to; pure.

Every item that is added is done, in its order; sequence numbers count from 0; the last event holds the whole response.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from models.base import ToolCall
from server.events import (
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
)
from server.openai.responses.output import (
    Frame,
    annotation,
    error_object,
    response_object,
    search_results,
    shown,
    shown_item,
    status_of,
)
from server.openai.tools import Json
from server.transcript import Transcript

OBFUSCATED_TO = 32  # characters; a delta with its padding is a multiple


class ResponseStream:
    """`response`: the whole, with every extra, once Done was fed. clock: Unix seconds."""

    def __init__(self, frame: Frame, clock: Callable[[], float] = time.time) -> None:
        self.response: Json | None = None
        self._clock = clock
        self._frame = frame
        self._told = Transcript()
        self._items: list[Json] = []
        self._open: _OpenItem | None = None
        self._search: Json | None = None
        self._sequence = 0
        self._events: list[Json] = []

    def feed(self, event: Event) -> list[Json]:
        """The events that `event` makes, in order; `type` is also the name of the server-sent event."""
        self._told.add(event)
        match event:
            case TextDelta():
                self._text(event)
            case ReasoningDelta():
                self._to("reasoning").reason(event.text)
            case Citation():
                self._to("message").cite(annotation(event, self._told.sources.evidence))
            case ToolCallDelta():
                self._call(event.call)
            case Started():
                self._begin("response.created")
                self._begin("response.in_progress")
            case Stage(name):
                if name == "search" and self._frame.queries:
                    self._begin_search()
            case Sources():
                self._end_search(event)
            case Done():
                self._end(event)
            case _:
                pass
        made, self._events = self._events, []
        return made

    def emit(self, kind: str, **fields: Any) -> None:
        self._events.append({"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1

    def obfuscation(self, delta: str) -> Json:
        if not self._frame.obfuscate:
            return {}
        return {"obfuscation": secrets.token_urlsafe(24)[: -len(delta) % OBFUSCATED_TO]}

    def _text(self, event: TextDelta) -> None:
        refused = self._frame.refuses and self._told.sources.no_evidence
        self._to("message").say(event.text, event.logprobs, refusal=refused)

    def _to(self, kind: str) -> "_OpenItem":
        """The open item of that kind; another one is closed first."""
        if self._open is None or self._open.item["type"] != kind:
            self._close("completed")
            prefix = {"message": "msg", "reasoning": "rs"}[kind]
            extra: Json = {"role": "assistant", "content": []} if kind == "message" else {"summary": [], "content": []}
            self._add({"id": self._id(prefix), "type": kind, "status": "in_progress", **extra})
        assert self._open is not None
        return self._open

    def _call(self, call: ToolCall) -> None:
        if self._open is None or self._open.call != call.index:
            self._close("completed")
            item = {"id": self._id("fc"), "type": "function_call", "status": "in_progress", "call_id": call.id}
            self._add({**item, "name": call.name, "arguments": ""}, call.index)
        assert self._open is not None
        self._open.argue(call.arguments)

    def _add(self, item: Json, call: int | None = None) -> None:
        self._items.append(item)
        place = len(self._items) - 1
        self._open = _OpenItem(self, item, place, call)
        self.emit("response.output_item.added", output_index=place, item=_copy(item))

    def _close(self, status: str) -> None:
        if self._open is not None:
            opened, self._open = self._open, None
            opened.close(status)
            self._item_done(opened.place)

    def _item_done(self, place: int) -> None:
        item = shown_item(self._items[place], self._frame.include)
        self.emit("response.output_item.done", output_index=place, item=item)

    def _begin_search(self) -> None:
        item: Json = {"id": self._id("fs"), "type": "file_search_call", "status": "in_progress"}
        self._search = item | {"queries": list(self._frame.queries), "results": None}
        self._items.append(self._search)
        place = {"output_index": len(self._items) - 1, "item_id": item["id"]}
        self.emit("response.output_item.added", output_index=place["output_index"], item=dict(self._search))
        self.emit("response.file_search_call.in_progress", **place)
        self.emit("response.file_search_call.searching", **place)

    def _end_search(self, sources: Sources) -> None:
        if self._search is not None:
            self._search |= {"status": "completed", "results": search_results(sources.evidence)}
            place = self._items.index(self._search)
            self.emit("response.file_search_call.completed", output_index=place, item_id=self._search["id"])
            self._item_done(place)

    def _end(self, done: Done) -> None:
        status = status_of(done)
        if self._search is not None and self._search["status"] == "in_progress":
            self._search["status"] = "failed" if status == "failed" else "incomplete"
            self._item_done(self._items.index(self._search))
        self._close("completed" if status == "completed" else "incomplete")
        if self._sequence == 0:  # it failed before it had begun
            self._begin("response.created")
        if status == "failed":
            self._fail(self._told.error)
        self.response = response_object(self._frame, self._items, self._told, status, int(self._clock()))
        ended = {"completed": "completed", "failed": "failed"}.get(status, "incomplete")
        self.emit(f"response.{ended}", response=shown(self.response, self._frame.include))

    def _fail(self, error: ErrorEvent | None) -> None:
        if error is not None:
            known = error_object(error)
            self.emit("error", code=known["code"], message=known["message"], param=error.param)

    def _begin(self, kind: str) -> None:
        response = response_object(self._frame, self._items, self._told, "in_progress")
        self.emit(kind, response=shown(response, self._frame.include))

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._frame.key}{len(self._items):02x}"


class _OpenItem:
    """The item that is being written; its content has one part."""

    def __init__(self, stream: ResponseStream, item: Json, place: int, call: int | None) -> None:
        self.item, self.place, self.call = item, place, call
        self._stream = stream
        self._text: list[str] = []

    @property
    def _where(self) -> Json:
        return {"item_id": self.item["id"], "output_index": self.place}

    def say(self, text: str, logprobs: Sequence[Mapping[str, Any]], *, refusal: bool) -> None:
        if refusal:
            self._part({"type": "refusal", "refusal": ""})
            self._delta("response.refusal.delta", text)
            return
        part = self._part({"type": "output_text", "text": "", "annotations": [], "logprobs": []})
        part["logprobs"].extend(logprobs)
        self._delta("response.output_text.delta", text, logprobs=list(logprobs))

    def reason(self, text: str) -> None:
        self._part({"type": "reasoning_text", "text": ""})
        self._delta("response.reasoning_text.delta", text)

    def cite(self, cited: Json) -> None:
        known = self.item["content"][0]["annotations"]
        known.append(cited)
        kind = "response.output_text.annotation.added"
        self._stream.emit(kind, **self._where, content_index=0, annotation_index=len(known) - 1, annotation=cited)

    def argue(self, arguments: str) -> None:
        if arguments:
            self._text.append(arguments)
            kind, padding = "response.function_call_arguments.delta", self._stream.obfuscation(arguments)
            self._stream.emit(kind, **self._where, delta=arguments, **padding)

    def close(self, status: str) -> None:
        self.item["status"] = status
        text = "".join(self._text)
        if self.item["type"] == "function_call":
            self.item["arguments"] = text
            named = {"name": self.item["name"], "arguments": text}
            self._stream.emit("response.function_call_arguments.done", **self._where, **named)
            return
        for part in self.item["content"]:
            field = "refusal" if part["type"] == "refusal" else "text"
            part[field] = text
            more = {"logprobs": part["logprobs"]} if part["type"] == "output_text" else {}
            name = {"refusal": "refusal", "output_text": "output_text"}.get(part["type"], "reasoning_text")
            self._stream.emit(f"response.{name}.done", **self._where, content_index=0, **{field: text}, **more)
            self._stream.emit("response.content_part.done", **self._where, content_index=0, part=dict(part))

    def _part(self, part: Json) -> Json:
        """The item's one part, added at its first word."""
        content: list[Json] = self.item["content"]
        if not content:
            content.append(part)
            self._stream.emit("response.content_part.added", **self._where, content_index=0, part=_copy(part))
        return content[0]

    def _delta(self, kind: str, text: str, **more: Any) -> None:
        self._text.append(text)
        padding = self._stream.obfuscation(text)
        self._stream.emit(kind, **self._where, content_index=0, delta=text, **more, **padding)


def _copy(item: Mapping[str, Any]) -> Json:
    """Its lists are still being filled."""
    return {name: list(value) if isinstance(value, list) else value for name, value in item.items()}
