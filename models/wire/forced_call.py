"""A tool that must be called (`tool_choice`: required, or one by name), on an engine that does not see to it; pure.

llama.cpp lets a model write text before the call, and a small one never comes to the call. So the answer's format is
the call itself, as a JSON schema, and what comes is read back as one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from models.base import ToolCall

_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"]*)"\s*,\s*"arguments"\s*:\s*')
_END = re.compile(r"\s*\}?\s*\Z")
_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")


def is_forced(fields: Mapping[str, Any]) -> bool:
    return bool(fields.get("tools")) and fields.get("tool_choice") not in (None, "none", "auto")


def named_as_required(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """llama.cpp does not know a tool's name for a choice, and takes "auto": the one tool is left, and required."""
    if not isinstance(fields.get("tool_choice"), Mapping) or not fields.get("tools"):
        return fields
    return {**fields, "tools": _allowed(fields), "tool_choice": "required"}


def as_format(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request's fields with the call as its format; the tools are only shown."""
    tools = _allowed(fields)
    schema = {"anyOf": [_schema(tool["function"]) for tool in tools]}
    rest = {name: value for name, value in fields.items() if name not in _OF_TOOLS}
    return rest | {
        "response_format": {"type": "json_schema", "json_schema": {"name": "call", "schema": schema}},
        "chat_template_kwargs": {**fields.get("chat_template_kwargs", {}), "functions": tools},
    }


def _allowed(fields: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Of the tools, the named one; all where the name is unknown: then the engine says so."""
    choice = fields["tool_choice"]
    name = choice.get("function", {}).get("name") if isinstance(choice, Mapping) else None
    tools: Sequence[dict[str, Any]] = fields["tools"]
    return [tool for tool in tools if tool["function"]["name"] == name] or tools


def _schema(function: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": function["name"]},
            "arguments": function.get("parameters") or {"type": "object"},
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


class ForcedCall:
    """Text in, the pieces of one call out: its name first, then its arguments as they are written."""

    def __init__(self, call_id: str) -> None:
        self._id = call_id
        self._rest = ""
        self._named = False
        self._begun = False

    def feed(self, text: str) -> tuple[ToolCall, ...]:
        self._rest += text
        pieces = []
        if not self._named:
            head = _HEAD.match(self._rest)
            if head is None:
                return ()
            self._named, self._rest = True, self._rest[head.end() :]
            pieces.append(ToolCall(0, self._id, head[1]))
        self._rest = self._rest if self._begun else self._rest.lstrip()
        end = _END.search(self._rest)
        assert end is not None
        written, self._rest = self._rest[: end.start()], self._rest[end.start() :]
        if written:
            self._begun = True
            pieces.append(ToolCall(0, arguments=written))
        return tuple(pieces)
