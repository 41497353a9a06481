"""The messages of a chat request: checked one by one and together, then as the models room knows them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.base import Message, Role, ToolCall
from server.http.errors import ApiError, bad_request
from server.openai.chat.tools import NAME, Strict

ROLES: dict[str, Role] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
# What the SDK sends back of an answer of ours; the engine is not shown it again.
ECHOED = frozenset({"annotations", "context", "reasoning", "reasoning_content"})
MessageContent = str | list[dict[str, Any]] | None


class CalledFunction(Strict):
    name: Annotated[str, Field(pattern=NAME)]
    arguments: str


class Call(Strict):
    id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["function"]
    function: CalledFunction


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: MessageContent = None
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None


def messages_of(messages: Sequence[ChatMessage], limit: int) -> list[Message]:
    """Developer as system. Raises ApiError (400), naming the place: too many, parts that are not text, a field that
    its role has not, calls without their results or the other way round."""
    if len(messages) > limit:
        raise bad_request(f"more than {limit} messages", "messages")
    read = [_message(message, f"messages[{i}]") for i, message in enumerate(messages)]
    _pair_calls(read)
    return read


def _message(message: ChatMessage, place: str) -> Message:
    if message.role == "function":
        raise bad_request("function messages are not read here: use tools and tool messages", f"{place}.role")
    _refuse_others(message, place)
    kinds = ("text", "refusal") if message.role == "assistant" else ("text",)
    text = text_of(message.content, f"{place}.content", kinds) or message.refusal or ""
    if "\0" in text:
        raise bad_request("the text holds a NUL character", f"{place}.content")
    calls = tuple(
        ToolCall(index, call.id, call.function.name, call.function.arguments)
        for index, call in enumerate(message.tool_calls or ())
    )
    if message.content is None and not (calls or message.refusal):
        raise bad_request(f"a message of {message.role!r} needs content", f"{place}.content")
    return Message(ROLES[message.role], text, calls, message.tool_call_id, message.name)


def _refuse_others(message: ChatMessage, place: str) -> None:
    """Fields of other roles, and fields that nobody knows; null is no value."""
    own = {"assistant": ("refusal", "tool_calls"), "tool": ("tool_call_id",)}.get(message.role, ())
    for name in ("refusal", "tool_calls", "tool_call_id"):
        if name not in own and getattr(message, name) is not None:
            raise _no_such_field(name, message.role, place)
    for name, value in (message.model_extra or {}).items():
        if value is not None and not (message.role == "assistant" and name in ECHOED):
            raise _no_such_field(name, message.role, place)
    if message.role == "tool" and not message.tool_call_id:
        raise bad_request("a tool message needs a tool_call_id", f"{place}.tool_call_id")


def _no_such_field(name: str, role: str, place: str) -> ApiError:
    return bad_request(f"a message of {role!r} has no {name[:40]!r} here", f"{place}.{name[:40]}")


def text_of(content: MessageContent, param: str, kinds: Sequence[str] = ("text",)) -> str:
    """Raises ApiError (400) for a part that is not text: nothing is fetched, nothing is dropped."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(_part(part, f"{param}[{index}]", kinds) for index, part in enumerate(content))


def _part(part: Mapping[str, Any], place: str, kinds: Sequence[str]) -> str:
    kind = str(part.get("type"))[:40]
    text = part.get(kind)
    if kind not in kinds or not isinstance(text, str):
        raise bad_request(f"content parts must be {' or '.join(kinds)}; {kind!r} is not read here", place)
    for name in part:
        if name not in ("type", kind):
            raise bad_request(f"{name[:40]!r} of a content part is not supported here", f"{place}.{name[:40]}")
    return text


def _pair_calls(messages: Sequence[Message]) -> None:
    """After calls come their results, each once, before anything else is said."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                why = f"no call {message.tool_call_id!r} waits for a result"
                raise bad_request(why, f"messages[{index}].tool_call_id")
            open_calls.remove(message.tool_call_id)
            continue
        if open_calls:
            raise bad_request(f"the results of {sorted(open_calls)} must come before this", f"messages[{index}].role")
        open_calls = {call.id for call in message.tool_calls}
    if open_calls:
        raise bad_request(f"the results of {sorted(open_calls)} are missing", "messages")
