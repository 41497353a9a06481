"""Events to OpenAI's chat completion chunks; a pure function of the events."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from models.base import ToolCall
from server.answering.events import Done, ErrorEvent, Event, ReasoningDelta, Sources, Started, TextDelta, ToolCallDelta
from server.answering.failures import failure_of_event
from server.answering.transcript import Transcript, usage_of
from server.http import sse
from server.http.errors import error_body
from server.openai.chat.render import (
    DONE,
    Form,
    Json,
    annotations,
    completion_id,
    context,
    finish_reason,
    metadata,
)

OBFUSCATED_TO = 32  # bytes; a delta with its padding is a multiple


class Chunks:
    """Renders one answer's events as `chat.completion.chunk` events; only data lines and [DONE], once."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._told = Transcript()
        self._opened = False
        self._head = self._tail = b""

    def feed(self, event: Event) -> bytes:
        self._told.add(event)
        match event:
            case TextDelta():
                return self._text(event)
            case ReasoningDelta(text, choice):
                return self._delta({"reasoning": text, "reasoning_content": text}, choice)
            case ToolCallDelta(call, choice):
                return self._delta({"tool_calls": [_piece(call)]}, choice)
            case Started():
                self._frame()
            case Sources():
                return self._open()
            case ErrorEvent():
                return sse.data(error_body(failure_of_event(event)))
            case Done():
                return self._close(event)
            case _:
                pass
        return b""

    def _frame(self) -> None:
        """What is the same in every chunk, rendered once."""
        base = orjson.dumps(self._base())
        self._head = b"data: " + base[:-1] + b',"choices":[{"index":'
        self._tail = (b',"usage":null' if self._form.include_usage else b"") + b"}\n\n"

    def _text(self, event: TextDelta) -> bytes:
        refused = self._form.refuses and self._told.sources.no_evidence
        delta = {"refusal" if refused else "content": event.text}
        return self._delta(delta, event.choice, event.logprobs)

    def _delta(self, delta: Json, choice: int, logprobs: Sequence[Mapping[str, Any]] = ()) -> bytes:
        """A step of a choice: the path that every token takes."""
        rendered = orjson.dumps(delta)
        tokens = orjson.dumps({"content": logprobs, "refusal": None}) if logprobs else b"null"
        padding = b""
        if self._form.obfuscate:
            padding = b',"obfuscation":"' + secrets.token_urlsafe(24)[: -len(rendered) % OBFUSCATED_TO].encode() + b'"'
        ending = (b',"logprobs":', tokens, b',"finish_reason":null}]', padding, self._tail)
        return b"".join((self._head, b"%d" % choice, b',"delta":', rendered, *ending))

    def _open(self) -> bytes:
        self._opened = True
        if not self._head:
            self._frame()
        delta = {"role": "assistant", "content": "", "refusal": None, "context": context(self._told.sources)}
        first = self._chunk(delta, 0, ragpod=metadata(self._told))
        return first + b"".join(self._chunk(delta, choice) for choice in range(1, self._form.choices))

    def _close(self, done: Done) -> bytes:
        if done.finish_reason == "error":
            return DONE
        frames = b"" if self._opened else self._open()
        last = self._form.choices - 1
        for choice in range(self._form.choices):
            delta = {"annotations": annotations(self._told.choice(choice).citations, self._told.sources)}
            extra = {"ragpod": metadata(self._told)} if choice == last else {}
            frames += self._chunk(delta, choice, finish_reason(done, choice), **extra)
        if self._form.include_usage:
            frames += sse.data(self._base() | {"choices": [], "usage": usage_of(self._told)})
        return frames + DONE

    def _chunk(self, delta: Json, index: int, reason: str | None = None, **extra: Any) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self._form.include_usage else {}
        return sse.data(self._base() | {"choices": [choice]} | usage | extra)

    def _base(self) -> Json:
        return {
            "id": completion_id(self._told.started),
            "object": "chat.completion.chunk",
            "created": self._form.created,
            "model": self._form.model,
            **self._form.fields,
        }


def _piece(call: ToolCall) -> Json:
    """The first piece of a call has its id, kind and name; the others only more of the arguments."""
    function: Json = {"arguments": call.arguments}
    if call.name:
        function = {"name": call.name, **function}
    named = {"id": call.id, "type": "function"} if call.id else {}
    return {"index": call.index, **named, "function": function}
