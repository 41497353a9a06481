"""The items of a Responses request: checked, given ids, and turned into a conversation; pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from models.base import Message, Role, ToolCall
from server.http.errors import ApiError, bad_request
from server.openai.chat.tools import Json
from server.openai.responses.item_types import ITEMS, PARTS, MessageItem, OutputItem, Refusal

ROLES: dict[str, Role] = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
# Items of an earlier answer that tell the engine nothing: what was found is searched for again, thoughts are over.
SILENT = ("file_search_call", "reasoning")
_PREFIXES = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
T = TypeVar("T")


def items_of(given: str | Sequence[Json], key: str) -> list[Json]:
    """As they are kept: a string is a user's message, every item has an id. item_reference stays as it is.

    key: makes the ids. Raises ApiError (400) naming the place.
    """
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not given:
        raise bad_request("input must not be empty", "input")
    return [_item(_said(item), f"input[{index}]", f"{key}i{index:03x}") for index, item in enumerate(given)]


def refuse_repeated(items: Iterable[Json]) -> None:
    """Raises ApiError (400): an item that was sent again, or sent though the earlier response has it already."""
    seen: set[str] = set()
    for item in items:
        if item["id"] in seen:
            raise bad_request(f"duplicate item {item['id'][:100]!r}: each item comes once, earlier ones too", "input")
        seen.add(item["id"])


def _item(item: Json, place: str, key: str) -> Json:
    kind = _kind(item)
    if kind == "item_reference":
        if not isinstance(item.get("id"), str):
            raise bad_request("an item_reference needs an id", f"{place}.id")
        return {"type": kind, "id": item["id"]}
    if kind not in ITEMS:
        raise bad_request(f"items of type {kind[:40]!r} are not read here", f"{place}.type")
    read = _read(ITEMS[kind], item, place)
    if isinstance(read, MessageItem):
        return _kept_message(read, place, key)
    kept: Json = read.model_dump(exclude_none=True)
    if isinstance(read, OutputItem) and not isinstance(read.output, str):
        kept["output"] = _parts(read.output, f"{place}.output", "input_text")
    return {"id": f"{_PREFIXES.get(kind)}_{key}", "status": "completed", **kept}


def _read(shape: TypeAdapter[T], given: Json, place: str) -> T:
    try:
        return shape.validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        path = f"{place}.{first['loc'][0]}"
        raise bad_request(f"{path}: {first['msg']}", path) from None


def _said(given: Json) -> Json:
    """Without the nulls that the SDK's own models are full of."""
    return {name: value for name, value in given.items() if value is not None}


def _kind(item: Json) -> str:
    return str(item.get("type", "message" if "role" in item else "item_reference"))


def _kept_message(read: MessageItem, place: str, key: str) -> Json:
    """Content as parts: what an input item is listed with."""
    kind = "output_text" if read.role == "assistant" else "input_text"
    given = [{"type": kind, "text": read.content}] if isinstance(read.content, str) else read.content
    common = {"type": "message", "role": read.role, "status": read.status or "completed"}
    phase = {"phase": read.phase} if read.phase else {}
    return {"id": read.id or f"msg_{key}", **common, **phase, "content": _parts(given, f"{place}.content", kind)}


def _parts(given: Sequence[Json], place: str, kind: str) -> list[Json]:
    """As parts of that kind, whichever of both they were called: what speaks is the role.

    Raises ApiError (400) for one that is not text: nothing is fetched, nothing is dropped.
    """
    return [_part(_said(part), f"{place}[{index}]", kind) for index, part in enumerate(given)]


def _part(part: Json, place: str, kind: str) -> Json:
    name = str(part.get("type"))
    if name not in PARTS or (name == "refusal" and kind == "input_text"):
        raise bad_request(f"content must be text; {name[:40]!r} is not read here", place)
    read = _read(PARTS[name], part, place)
    if "\0" in _texts([part]):
        raise bad_request("the text holds a NUL character", place)
    if isinstance(read, Refusal):
        return read.model_dump()
    if kind == "input_text":
        return {"type": kind, "text": read.text}
    return {"type": kind, "text": read.text, "annotations": read.annotations or [], "logprobs": read.logprobs or []}


def _texts(parts: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(part["refusal"] if part["type"] == "refusal" else part["text"] for part in parts)


def refuse_too_many(before: Sequence[Json], items: Sequence[Json], limit: int) -> None:
    """Raises ApiError (400) naming which of both is too long. before: the items of earlier responses."""
    earlier, now = (sum(item["type"] not in SILENT for item in each) for each in (before, items))
    if earlier + now > limit:
        why = f"{earlier} items of earlier responses and {now} of this one are more than {limit}"
        raise bad_request(why, "input" if now > limit or not earlier else "previous_response_id")


def messages_of(items: Sequence[Json], instructions: str | None) -> list[Message]:
    """Raises ApiError (400): an output without its call, a call without its output."""
    messages = [Message("system", instructions)] if instructions else []
    waiting: dict[str, str] = {}
    for item in items:
        kind = item["type"]
        if kind == "function_call":
            if item["call_id"] in waiting:
                raise _unpaired(f"the function call {item['call_id']!r} comes twice")
            waiting[item["call_id"]] = item["name"]
            _add_call(messages, item)
        elif kind == "function_call_output":
            if waiting.pop(item["call_id"], None) is None:
                raise _unpaired(f"no function call waits for the output of {item['call_id']!r}")
            messages.append(Message("tool", _output(item["output"]), tool_call_id=item["call_id"]))
        elif kind == "message":
            if waiting:
                raise _unpaired(f"no output was given for the function calls {sorted(waiting)}")
            messages.append(Message(ROLES[item["role"]], _texts(item["content"])))
    if waiting:
        raise _unpaired(f"no output was given for the function calls {sorted(waiting)}")
    return messages


def _unpaired(why: str) -> ApiError:
    return bad_request(why, "input")


def _output(output: str | Sequence[Json]) -> str:
    return output if isinstance(output, str) else _texts(output)


def _add_call(messages: list[Message], item: Json) -> None:
    """Calls that were made together, and what was said before them, are one message of the assistant."""
    last = messages[-1] if messages else None
    before = last.tool_calls if last and last.role == "assistant" else ()
    call = ToolCall(len(before), item["call_id"], item["name"], item["arguments"])
    if last and last.role == "assistant":
        messages[-1] = Message("assistant", last.content, (*before, call))
    else:
        messages.append(Message("assistant", "", (call,)))
