"""The items of a Responses request: checked, given ids, and turned into a conversation; pure."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.base import Message, Role, ToolCall
from server.errors import ApiError, bad_request
from server.openai.tools import NAME, Json

ROLES: dict[str, Role] = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
# Items of an earlier answer that tell the engine nothing: what was found is searched for again, thoughts are over.
_PART = frozenset({"type", "text", "refusal", "annotations", "logprobs"})
SILENT = ("file_search_call", "reasoning")


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None


class MessageItem(_Item):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Json]
    phase: Literal["commentary", "final_answer"] | None = None


class CallItem(_Item):
    type: Literal["function_call"]
    call_id: str = Field(min_length=1, max_length=256)
    name: Annotated[str, Field(pattern=NAME)]
    arguments: str


class OutputItem(_Item):
    type: Literal["function_call_output"]
    call_id: str = Field(min_length=1, max_length=256)
    output: str | list[Json]


_ITEMS: Mapping[str, TypeAdapter[Any]] = {
    "message": TypeAdapter(MessageItem),
    "function_call": TypeAdapter(CallItem),
    "function_call_output": TypeAdapter(OutputItem),
}


def items_of(given: str | Sequence[Json], key: str) -> list[Json]:
    """As they are kept: a string is a user's message, every item has an id. item_reference stays as it is.

    key: makes the ids. Raises ApiError (400) naming the place.
    """
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not given:
        raise bad_request("input must not be empty", "input")
    return [_item(item, f"input[{index}]", f"{key}i{index:03x}") for index, item in enumerate(given)]


def _item(item: Json, place: str, key: str) -> Json:
    item = {name: value for name, value in item.items() if value is not None}  # as the SDK echoes what it has read
    kind = _kind(item)
    if kind == "item_reference":
        if not isinstance(item.get("id"), str):
            raise bad_request("an item_reference needs an id", f"{place}.id")
        return {"type": kind, "id": item["id"]}
    if kind in SILENT:
        return {**item, "id": item["id"] if isinstance(item.get("id"), str) else f"item_{key}"}
    if kind not in _ITEMS:
        raise bad_request(f"items of type {kind[:40]!r} are not read here", f"{place}.type")
    try:
        read = _ITEMS[kind].validate_python(item)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"] if isinstance(part, str) and part.islower())
        raise bad_request(f"{place}.{path}: {first['msg']}", f"{place}.{path}") from None
    if isinstance(read, MessageItem):
        return _kept_message(read, place, key)
    kept: Json = read.model_dump(exclude_none=True)
    if isinstance(read, OutputItem) and not isinstance(read.output, str):
        _texts(read.output, f"{place}.output")
    prefix = "fc" if isinstance(read, CallItem) else "fco"
    return {**kept, "id": read.id or f"{prefix}_{key}", "status": read.status or "completed"}


def _kind(item: Json) -> str:
    return str(item.get("type", "message" if "role" in item else "item_reference"))


def _kept_message(read: MessageItem, place: str, key: str) -> Json:
    """Content as parts: what an input item is listed with."""
    kind = "output_text" if read.role == "assistant" else "input_text"
    parts: list[Json] = [{"type": kind, "text": read.content}] if isinstance(read.content, str) else read.content
    _texts(parts, f"{place}.content")
    if kind == "output_text":
        parts = [{"annotations": [], **part} if part["type"] == kind else part for part in parts]
    common = {"type": "message", "role": read.role, "status": read.status or "completed", "content": parts}
    return {"id": read.id or f"msg_{key}", **common}


def _texts(parts: Sequence[Json], place: str) -> list[str]:
    """Raises ApiError (400) for a part that is not text: nothing is fetched, nothing is dropped."""
    texts: list[str] = []
    for index, part in enumerate(parts):
        kind = part.get("type")
        text = part.get("refusal" if kind == "refusal" else "text")
        if kind not in ("input_text", "output_text", "refusal") or not isinstance(text, str):
            raise bad_request(f"content must be text; {str(kind)[:40]!r} is not read here", f"{place}[{index}]")
        if others := sorted(part.keys() - _PART):
            raise bad_request(f"{others[0][:40]!r} of a content part is not supported here", f"{place}[{index}]")
        if "\0" in text:
            raise bad_request("the text holds a NUL character", f"{place}[{index}]")
        texts.append(text)
    return texts


def messages_of(items: Sequence[Json], instructions: str | None, limit: int) -> list[Message]:
    """Raises ApiError (400): too many, an output without its call, a call without its output."""
    if len(items) > limit:
        raise bad_request(f"more than {limit} items, earlier responses included", "input")
    messages = [Message("system", instructions)] if instructions else []
    waiting: dict[str, str] = {}
    for item in items:
        kind = item["type"]
        if kind == "function_call":
            waiting[item["call_id"]] = item["name"]
            _add_call(messages, item)
        elif kind == "function_call_output":
            if waiting.pop(item["call_id"], None) is None:
                raise _unpaired(f"no function call waits for the output of {item['call_id']!r}")
            messages.append(Message("tool", _output(item["output"]), tool_call_id=item["call_id"]))
        elif kind == "message":
            if waiting:
                raise _unpaired(f"no output was given for the function calls {sorted(waiting)}")
            messages.append(Message(ROLES[item["role"]], "\n".join(_texts(item["content"], "input"))))
    if waiting:
        raise _unpaired(f"no output was given for the function calls {sorted(waiting)}")
    return messages


def _unpaired(why: str) -> ApiError:
    return bad_request(why, "input")


def _output(output: str | Sequence[Json]) -> str:
    return output if isinstance(output, str) else "\n".join(_texts(output, "input"))


def _add_call(messages: list[Message], item: Json) -> None:
    """Calls that were made together, and what was said before them, are one message of the assistant."""
    last = messages[-1] if messages else None
    before = last.tool_calls if last and last.role == "assistant" else ()
    call = ToolCall(len(before), item["call_id"], item["name"], item["arguments"])
    if last and last.role == "assistant":
        messages[-1] = Message("assistant", last.content, (*before, call))
    else:
        messages.append(Message("assistant", "", (call,)))
