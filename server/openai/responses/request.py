"""The body of POST /v1/responses, and what of it goes to the search and to the engine."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.base import Sampling
from server.answering.ask import MODEL, Defaults
from server.http.errors import bad_request
from server.http.json_body import NoNul
from server.openai.chat.requests import Extension, MetadataKey, MetadataValue
from server.openai.chat.tools import TOOLS, Json, Strict
from server.openai.responses.fields import refuse
from server.openai.responses.tools import (
    FileSearch,
    FunctionTool,
    HostedTool,
    NamedFunction,
    Reasoning,
    TextConfig,
    Tool,
    ToolChoice,
    search_of,
)

RESULTS = "file_search_call.results"
LOGPROBS = "message.output_text.logprobs"


class StreamOptions(Strict):
    include_obfuscation: bool | None = None


class ResponseRequest(BaseModel):
    """Typed where something is read; what fields.py refuses is in `model_extra`. Items are checked in items.py."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    input: str | list[Json]
    instructions: str | None = None
    previous_response_id: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    include: list[Literal["file_search_call.results", "message.output_text.logprobs"]] | None = None
    tools: list[Tool] | None = Field(default=None, max_length=TOOLS)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = Field(default=None, ge=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[MetadataKey, MetadataValue] | None = Field(default=None, max_length=16)
    user: Annotated[str, Field(max_length=512), NoNul] | None = None
    safety_identifier: Annotated[str, Field(max_length=128), NoNul] | None = None
    prompt_cache_key: Annotated[str, NoNul] | None = None
    ragpod: Extension | None = None

    @property
    def search(self) -> FileSearch | None:
        return search_of(self.tools or [])

    @property
    def functions(self) -> list[FunctionTool]:
        return [tool for tool in self.tools or [] if isinstance(tool, FunctionTool)]

    @property
    def structured(self) -> bool:
        return bool(self.text and self.text.format and self.text.format.type != "text")

    @property
    def includes(self) -> frozenset[str]:
        return frozenset(self.include or ())

    @property
    def labels(self) -> dict[str, Any]:
        named = {"metadata": self.metadata, "user": self.user, "safety_identifier": self.safety_identifier}
        return {name: value for name, value in named.items() if value}


class CountRequest(ResponseRequest):
    model: str = MODEL


def check(body: ResponseRequest) -> None:
    """Raises ApiError (400), naming the field: refused, unknown, or without the one it belongs to."""
    refuse(body.model_extra or {})
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options are for a stream", "stream_options")
    if body.top_logprobs is not None and LOGPROBS not in body.includes:
        raise bad_request(f"top_logprobs needs include {LOGPROBS!r}", "top_logprobs")
    if sum(isinstance(tool, FileSearch) for tool in body.tools or ()) > 1:
        raise bad_request("one file_search tool; it may search several vector stores", "tools")
    choice = body.tool_choice
    if isinstance(choice, NamedFunction) and choice.name not in [tool.name for tool in body.functions]:
        raise bad_request(f"there is no function {choice.name!r} in tools", "tool_choice")
    if isinstance(choice, HostedTool) and body.search is None:
        raise bad_request("there is no file_search in tools", "tool_choice")
    if choice == "required" and not body.tools:
        raise bad_request("tool_choice needs tools", "tool_choice")


def sampling_of(body: ResponseRequest, defaults: Defaults) -> Sampling:
    effort = body.reasoning.effort if body.reasoning else None
    return Sampling(
        max_tokens=defaults.room(body.max_output_tokens, effort),
        temperature=body.temperature,
        top_p=body.top_p,
        extra=_passed(body, effort),
    )


def _passed(body: ResponseRequest, effort: str | None) -> Json:
    """In the chat form that engines take."""
    passed: Json = {} if effort is None else {"reasoning_effort": effort}
    if body.structured:
        assert body.text is not None
        assert body.text.format is not None
        passed["response_format"] = body.text.format.for_chat()
    if LOGPROBS in body.includes:
        passed |= {"logprobs": True, "top_logprobs": body.top_logprobs or 0}
    return passed | _tools(body)


def _tools(body: ResponseRequest) -> Json:
    """A choice of file_search is met by the search itself: then no function is offered."""
    choice = body.tool_choice
    if not body.functions or choice == "none" or isinstance(choice, HostedTool):
        return {}
    passed: Json = {"tools": [tool.for_chat() for tool in body.functions]}
    if body.parallel_tool_calls is not None:
        passed["parallel_tool_calls"] = body.parallel_tool_calls
    if isinstance(choice, NamedFunction):
        passed["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice is not None and (choice != "required" or body.search is None):
        passed["tool_choice"] = choice
    return passed
