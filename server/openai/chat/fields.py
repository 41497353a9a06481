"""What becomes of every field of a chat request: one table for the route, its tests and docs/openai.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from server.http.errors import ApiError, bad_request


class Fate(StrEnum):
    """honoured: here. passed: to the engine, which honours or refuses it. accepted: there is nothing to do.

    refused: 400, but for the values that ask for nothing.
    """

    HONOURED = "honoured"
    PASSED = "passed on"
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Field:
    """fate: with a ragpod model. harmless: values that are taken though the field is refused.

    With the engine's own model id what is refused stays refused (engines drop it without a word), and everything else
    is passed on as it came.
    """

    fate: Fate
    why: str
    harmless: tuple[Any, ...] = ()

    @property
    def by_engine(self) -> Fate:
        return Fate.REFUSED if self.fate is Fate.REFUSED else Fate.PASSED


def _refused(why: str, *harmless: Any) -> Field:
    return Field(Fate.REFUSED, why, harmless)


_KEPT = "kept with the turn, and shown in its trace"
FIELDS: Mapping[str, Field] = {
    "model": Field(Fate.HONOURED, "`ragpod`, `ragpod:STORE`, or the engine's own id"),
    "messages": Field(Fate.HONOURED, "text; the last user message is the question, the others are history"),
    "stream": Field(Fate.HONOURED, "missing means false"),
    "stream_options": Field(Fate.HONOURED, "`include_usage`, `include_obfuscation`; only with `stream`"),
    "max_completion_tokens": Field(
        Fate.HONOURED, "cut to `limits.max_tokens`, which counts where none is named; goes before `max_tokens`"
    ),
    "max_tokens": Field(Fate.HONOURED, "cut to `limits.max_tokens`, with the engine's id as well"),
    "n": Field(Fate.HONOURED, "1 to 8 answers from one search"),
    "temperature": Field(Fate.PASSED, "0 to 2"),
    "top_p": Field(Fate.PASSED, "0 to 1"),
    "presence_penalty": Field(Fate.PASSED, "-2 to 2"),
    "frequency_penalty": Field(Fate.PASSED, "-2 to 2"),
    "stop": Field(Fate.PASSED, "at most 4, none empty"),
    "seed": Field(Fate.PASSED, "64 bits"),
    "reasoning_effort": Field(Fate.PASSED, "`none` is the default; thoughts come in `reasoning`"),
    "logit_bias": Field(Fate.PASSED, "token id to -100..100; needs the engine"),
    "logprobs": Field(Fate.PASSED, "needs the engine"),
    "top_logprobs": Field(Fate.PASSED, "0 to 20, with `logprobs`"),
    "response_format": Field(Fate.PASSED, "`text`, `json_object`, `json_schema`; the last two need the engine"),
    "tools": Field(Fate.PASSED, "functions; beside retrieval; need the engine"),
    "tool_choice": Field(Fate.PASSED, "`none`, `auto`, `required` or one function"),
    "parallel_tool_calls": Field(Fate.PASSED, "with `tools`"),
    "metadata": Field(Fate.HONOURED, f"16 pairs of strings, {_KEPT}"),
    "user": Field(Fate.HONOURED, _KEPT),
    "safety_identifier": Field(Fate.HONOURED, _KEPT),
    "store": Field(Fate.HONOURED, "false: the turn is not kept; else it is, as `/api/v1/traces/{trace_id}`"),
    "prompt_cache_key": Field(Fate.ACCEPTED, "the engine's prefix cache needs no key"),
    "prompt_cache_retention": _refused("the engine's cache lives in memory", "in_memory"),
    "prompt_cache_options": _refused(
        "the engine's cache finds its prefixes itself",
        *({}, {"mode": "implicit"}, {"ttl": "30m"}, {"mode": "implicit", "ttl": "30m"}),
    ),
    "service_tier": _refused("there is one tier", "auto", "default"),
    "verbosity": _refused("say it in a system message", "medium"),
    "modalities": _refused("answers are text", ["text"]),
    "audio": _refused("answers are text"),
    "prediction": _refused("answers are written from the documents"),
    "moderation": _refused("no moderation model runs here"),
    "web_search_options": _refused("nothing is fetched from the web"),
    "functions": _refused("use `tools`", []),
    "function_call": _refused("use `tool_choice`", "none", "auto"),
}


def refuse(given: Mapping[str, Any]) -> None:
    """Raises ApiError (400), naming the field, for one whose effect cannot be had."""
    for name, value in given.items():
        field = FIELDS.get(name)
        if field and field.fate is Fate.REFUSED and value is not None and value not in field.harmless:
            raise bad_request(f"{name!r} is not supported here: {field.why}", name, "unsupported_parameter")


def unknown(name: str) -> ApiError:
    return bad_request(f"unknown parameter {name!r}", name, "unknown_parameter")
