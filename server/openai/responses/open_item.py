"""An item of a response while it is written, and the events that this makes; pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson

from models.base import ToolCall
from server.openai.chat.tools import Json

Padding = Callable[[str], Json]


class Emit(Protocol):
    def __call__(self, kind: str, **fields: Any) -> None: ...


class OpenItem:
    """Its content has one part. place: among the items of the response. before: characters of the answer before it."""

    def __init__(self, emit: Emit, padding: Padding, item: Json, place: int, before: int = 0) -> None:
        self.item, self.place, self.before = item, place, before
        self._emit, self._padding = emit, padding
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
        self._emit(kind, **self._where, content_index=0, annotation_index=len(known) - 1, annotation=cited)

    def call(self, piece: ToolCall) -> None:
        self.item["name"] = self.item["name"] or piece.name
        if piece.arguments:
            self._text.append(piece.arguments)
            kind, padding = "response.function_call_arguments.delta", self._padding(piece.arguments)
            self._emit(kind, **self._where, delta=piece.arguments, **padding)

    def close(self, status: str) -> None:
        text = "".join(self._text)
        if self.item["type"] == "function_call":
            self._close_call(text, status)
            return
        self.item["status"] = status
        for part in self.item["content"]:
            field = "refusal" if part["type"] == "refusal" else "text"
            part[field] = text
            more = {"logprobs": part["logprobs"]} if part["type"] == "output_text" else {}
            name = {"refusal": "refusal", "output_text": "output_text"}.get(part["type"], "reasoning_text")
            self._emit(f"response.{name}.done", **self._where, content_index=0, **{field: text}, **more)
            self._emit("response.content_part.done", **self._where, content_index=0, part=dict(part))

    def _close_call(self, arguments: str, status: str) -> None:
        """Completed where its arguments are whole, however the answer ended."""
        self.item |= {"arguments": arguments, "status": "completed" if _is_json(arguments) else status}
        named = {"name": self.item["name"], "arguments": arguments}
        self._emit("response.function_call_arguments.done", **self._where, **named)

    def _part(self, part: Json) -> Json:
        """The item's one part, added at its first word."""
        content: list[Json] = self.item["content"]
        if not content:
            content.append(part)
            self._emit("response.content_part.added", **self._where, content_index=0, part=copy(part))
        return content[0]

    def _delta(self, kind: str, text: str, **more: Any) -> None:
        self._text.append(text)
        padding = self._padding(text)
        self._emit(kind, **self._where, content_index=0, delta=text, **more, **padding)


def copy(item: Mapping[str, Any]) -> Json:
    """Its lists are still being filled."""
    return {name: list(value) if isinstance(value, list) else value for name, value in item.items()}


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
