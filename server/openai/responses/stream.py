"""House events to the typed events of the Responses API, and to the response that they add up to; pure.

Every item that is added is done; sequence numbers count from 0; the last event holds the whole response.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any

from models.base import ToolCall
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
)
from server.answering.transcript import Transcript
from server.openai.chat.tools import Json
from server.openai.responses.open_item import OpenItem, copy
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

OBFUSCATED_TO = 32  # characters; a delta with its padding is a multiple


class ResponseStream:
    """`response`: the whole, with every extra, once Done was fed. clock: Unix seconds."""

    def __init__(self, frame: Frame, clock: Callable[[], float] = time.time) -> None:
        self.response: Json | None = None
        self._clock = clock
        self._frame = frame
        self._told = Transcript()
        self._items: list[Json] = []
        self._open: OpenItem | None = None
        self._calls: dict[int, OpenItem] = {}  # open until the end: pieces of several calls may alternate
        self._said = 0
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
                message = self._to("message")
                message.cite(annotation(event, self._told.sources.evidence, message.before))
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
        self._said += len(event.text)

    def _to(self, kind: str) -> OpenItem:
        """The open item of that kind; another one is closed first."""
        if self._open is None or self._open.item["type"] != kind:
            self._close("completed")
            prefix = {"message": "msg", "reasoning": "rs"}[kind]
            extra: Json = {"role": "assistant", "content": []} if kind == "message" else {"summary": [], "content": []}
            self._open = self._added({"id": self._id(prefix), "type": kind, "status": "in_progress", **extra})
        return self._open

    def _call(self, call: ToolCall) -> None:
        if call.index not in self._calls:
            self._close("completed")
            item = {"id": self._id("fc"), "type": "function_call", "status": "in_progress", "call_id": call.id}
            self._calls[call.index] = self._added({**item, "name": call.name, "arguments": ""})
        self._calls[call.index].call(call)

    def _added(self, item: Json) -> OpenItem:
        self._items.append(item)
        place = len(self._items) - 1
        self.emit("response.output_item.added", output_index=place, item=copy(item))
        return OpenItem(self.emit, self.obfuscation, item, place, self._said)

    def _close(self, status: str) -> None:
        if self._open is not None:
            opened, self._open = self._open, None
            self._closed(opened, status)

    def _closed(self, opened: OpenItem, status: str) -> None:
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
        for opened in sorted(self._still_open(), key=lambda item: item.place):
            self._closed(opened, "completed" if status == "completed" else "incomplete")
        if self._sequence == 0:  # it failed before it had begun
            self._begin("response.created")
        if status == "failed":
            self._fail(self._told.error)
        self.response = response_object(self._frame, self._items, self._told, status, int(self._clock()))
        ended = {"completed": "completed", "failed": "failed"}.get(status, "incomplete")
        self.emit(f"response.{ended}", response=shown(self.response, self._frame.include))

    def _still_open(self) -> list[OpenItem]:
        return [*self._calls.values(), *([self._open] if self._open else [])]

    def _fail(self, error: ErrorEvent | None) -> None:
        if error is not None:
            known = error_object(error)
            self.emit("error", code=known["code"], message=known["message"], param=error.param)

    def _begin(self, kind: str) -> None:
        response = response_object(self._frame, self._items, self._told, "in_progress")
        self.emit(kind, response=shown(response, self._frame.include))

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._frame.key}{len(self._items):02x}"
