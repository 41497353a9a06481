"""The body of POST /v1/chat/completions, and what of it goes to the engine."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from models.base import Sampling
from server.answering.ask import Defaults
from server.http.errors import bad_request
from server.http.json_body import IDENTIFIER, NoNul
from server.openai.chat.fields import FIELDS, refuse, unknown
from server.openai.chat.messages import ChatMessage
from server.openai.chat.tools import TOOLS, Format, Strict, Tool, ToolChoice, given

CHOICES = 8
STOPS = 4
_INT64 = 2**63
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Bias = Annotated[float, Field(ge=-100, le=100)]
Penalty = Annotated[float, Field(ge=-2, le=2)] | None
TokenId = Annotated[str, Field(pattern=r"^\d{1,9}$")]
MetadataKey = Annotated[str, Field(max_length=64), NoNul]
MetadataValue = Annotated[str, Field(max_length=512), NoNul]
Stop = Annotated[str, Field(min_length=1)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Extension(Strict):
    """`ragpod` in the body (`extra_body` in the SDK)."""

    vector_store_ids: list[str] | None = Field(default=None, min_length=1, max_length=16)
    filters: dict[str, Any] | None = None
    top_k: int | None = Field(default=None, ge=1, le=50)
    min_score: float | None = Field(default=None, ge=0, le=1)
    rerank: bool | None = None
    session_id: str | None = Field(default=None, pattern=IDENTIFIER)
    explain: bool = False


class StreamOptions(Strict):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatRequest(BaseModel):
    """Typed where something is read; what fields.py refuses, and an engine's own fields, are in `model_extra`."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1, le=CHOICES)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: Annotated[list[Stop] | None, BeforeValidator(_listed, str | list[str] | None)] = Field(
        default=None, max_length=STOPS
    )
    seed: int | None = Field(default=None, ge=-_INT64, lt=_INT64)
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None
    reasoning_effort: Effort | None = None
    logit_bias: dict[TokenId, Bias] | None = Field(default=None, max_length=1024)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: Format | None = None
    tools: list[Tool] | None = Field(default=None, max_length=TOOLS)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[MetadataKey, MetadataValue] | None = Field(default=None, max_length=16)
    user: Annotated[str, NoNul] | None = Field(default=None, max_length=512)
    safety_identifier: Annotated[str, NoNul] | None = Field(default=None, max_length=128)
    prompt_cache_key: Annotated[str, NoNul] | None = None
    store: bool | None = None
    ragpod: Extension | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def obfuscate(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_obfuscation)

    @property
    def structured(self) -> bool:
        return self.response_format is not None and self.response_format.type != "text"

    @property
    def labels(self) -> dict[str, Any]:
        named = {"metadata": self.metadata, "user": self.user, "safety_identifier": self.safety_identifier}
        return {name: value for name, value in named.items() if value}


def check(body: ChatRequest) -> None:
    """Raises ApiError (400), naming the field: refused, unknown, or without the one it belongs to."""
    refuse(body.model_extra or {})
    for name, value in (body.model_extra or {}).items():
        if name not in FIELDS and value is not None:
            raise unknown(name)
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options are for a stream", "stream_options")
    if body.top_logprobs is not None and not body.logprobs:
        raise bad_request("top_logprobs needs logprobs", "top_logprobs")
    if not body.tools and body.tool_choice not in (None, "none", "auto"):
        raise bad_request("tool_choice needs tools", "tool_choice")


def sampling_of(body: ChatRequest, defaults: Defaults) -> Sampling:
    return Sampling(
        max_tokens=defaults.room(body.max_completion_tokens or body.max_tokens, body.reasoning_effort),
        temperature=body.temperature,
        top_p=body.top_p,
        stop=tuple(body.stop or ()),
        seed=body.seed,
        extra=_passed(body),
        n=body.n or 1,
    )


def _passed(body: ChatRequest) -> dict[str, Any]:
    """The engine's own fields of the request; what asks for nothing is left out."""
    simple = ("presence_penalty", "frequency_penalty", "reasoning_effort")
    passed = {name: value for name in simple if (value := getattr(body, name)) is not None}
    if body.logit_bias:
        passed["logit_bias"] = body.logit_bias
    if body.logprobs:
        passed |= {"logprobs": True, "top_logprobs": body.top_logprobs or 0}
    if body.response_format is not None and body.structured:
        passed["response_format"] = given(body.response_format)
    if body.tools:
        passed["tools"] = [given(tool) for tool in body.tools]
        if body.parallel_tool_calls is not None:
            passed["parallel_tool_calls"] = body.parallel_tool_calls
        if body.tool_choice is not None:
            choice = body.tool_choice
            passed["tool_choice"] = choice if isinstance(choice, str) else given(choice)
    return passed
