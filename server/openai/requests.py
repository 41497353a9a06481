"""The body of POST /v1/chat/completions, and what of it a ragpod model honours, ignores or refuses."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.base import Message, Role, Sampling
from models.thinking import thinking_budget
from server.errors import bad_request
from server.settings import Settings

# Accepted and without effect on an answer from documents.
IGNORED = frozenset(
    (
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "parallel_tool_calls",
        "verbosity",
        "prediction",
        "moderation",
        "top_logprobs",
    )
)
# Accepted where the value asks for nothing.
HARMLESS: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "audio": (),
    "web_search_options": (),
}
FORWARDED = ("presence_penalty", "frequency_penalty", "reasoning_effort")
ROLES: dict[str, Role] = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
IDENTIFIER = r"^[A-Za-z0-9_.:-]{1,128}$"


class Extension(BaseModel):
    """`ragpod` in the body (`extra_body` in the SDK)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    vector_store_ids: list[str] | None = Field(default=None, min_length=1, max_length=16)
    filters: dict[str, Any] | None = None
    top_k: int | None = Field(default=None, ge=1, le=50)
    min_score: float | None = Field(default=None, ge=0, le=1)
    rerank: bool | None = None
    session_id: str | None = Field(default=None, pattern=IDENTIFIER)
    explain: bool = False


class ChatMessage(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """Typed where a ragpod model reads it; everything else is in `model_extra`. A missing `stream` is false."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    reasoning_effort: str | None = Field(default=None, pattern=r"^[a-z]{1,16}$")
    ragpod: Extension | None = None

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


def refuse_unknown(body: ChatRequest) -> None:
    """Raises ApiError (400), naming the parameter, for what a ragpod model would otherwise silently ignore."""
    for name, value in (body.model_extra or {}).items():
        if value is None or name in IGNORED or value in HARMLESS.get(name, ()):
            continue
        if name in HARMLESS:
            raise bad_request(
                f"{name!r} is not supported by a ragpod model; the engine's own model id takes it",
                name,
                "unsupported_parameter",
            )
        raise bad_request(f"unknown parameter {name!r}", name, "unknown_parameter")


def messages_of(body: ChatRequest, limit: int) -> list[Message]:
    """Text messages, developer as system. Raises ApiError (400): too many, tool messages, parts other than text."""
    if len(body.messages) > limit:
        raise bad_request(f"more than {limit} messages", "messages")
    return [
        Message(_role(message, f"messages[{i}].role"), text_of(message.content, f"messages[{i}].content"))
        for i, message in enumerate(body.messages)
    ]


def text_of(content: str | list[dict[str, Any]] | None, param: str) -> str:
    """Raises ApiError (400) for a part that is not text: nothing is fetched, nothing is dropped."""
    if content is None or isinstance(content, str):
        return content or ""
    for index, part in enumerate(content):
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            kind = str(part.get("type"))[:40]
            raise bad_request(f"content parts must be text; {kind!r} is not read here", f"{param}[{index}]")
    return "\n".join(part["text"] for part in content)


def sampling_of(body: ChatRequest, settings: Settings) -> Sampling:
    """max_tokens is cut to the server's limit; an answer cut short says finish_reason "length".

    Where the request names none, what it asks to be thought comes on top of the answer's own tokens.
    """
    usual = settings.engine.answer_tokens + thinking_budget(body.reasoning_effort)
    asked = body.max_completion_tokens or body.max_tokens or usual
    stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
    if len(stop) > 4:
        raise bad_request("at most 4 stop sequences", "stop")
    return Sampling(
        max_tokens=min(asked, settings.limits.max_tokens),
        temperature=body.temperature,
        top_p=body.top_p,
        stop=tuple(s for s in stop if s),
        seed=body.seed,
        extra={name: value for name in FORWARDED if (value := getattr(body, name)) is not None},
    )


def _role(message: ChatMessage, param: str) -> Role:
    if message.role not in ROLES:
        raise bad_request(f"a {message.role!r} message has no meaning for a ragpod model", param)
    return ROLES[message.role]
