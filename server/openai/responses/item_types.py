"""The items that a request may hold, as the SDK's types have them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from server.openai.chat.tools import NAME, Json, Strict

Identifier = Annotated[str, Field(min_length=1, max_length=256)]
CallId = Annotated[str, Field(min_length=1, max_length=256)]


class Item(Strict):
    id: Identifier | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None


class MessageItem(Item):
    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Json]
    phase: Literal["commentary", "final_answer"] | None = None


class CallItem(Item):
    type: Literal["function_call"]
    call_id: CallId
    name: Annotated[str, Field(pattern=NAME)]
    arguments: str


class OutputItem(Item):
    type: Literal["function_call_output"]
    call_id: CallId
    output: str | list[Json]


class SearchItem(Strict):
    """results: as they were shown."""

    type: Literal["file_search_call"]
    id: Identifier
    queries: list[str]
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"]
    results: list[Json] | None = None


class Summary(Strict):
    type: Literal["summary_text"]
    text: str


class Thought(Strict):
    type: Literal["reasoning_text"]
    text: str


class ReasoningItem(Item):
    type: Literal["reasoning"]
    summary: list[Summary]
    content: list[Thought] | None = None
    encrypted_content: str | None = None


class Text(Strict):
    type: Literal["input_text", "output_text"]
    text: str
    annotations: list[Json] | None = None
    logprobs: list[Json] | None = None


class Refusal(Strict):
    type: Literal["refusal"]
    refusal: str


PARTS: Mapping[str, TypeAdapter[Text | Refusal]] = {
    "input_text": TypeAdapter(Text),
    "output_text": TypeAdapter(Text),
    "refusal": TypeAdapter(Refusal),
}
ITEMS: Mapping[str, TypeAdapter[Any]] = {
    "message": TypeAdapter(MessageItem),
    "function_call": TypeAdapter(CallItem),
    "function_call_output": TypeAdapter(OutputItem),
    "file_search_call": TypeAdapter(SearchItem),
    "reasoning": TypeAdapter(ReasoningItem),
}
