"""What becomes of every field of a Responses request: one table for the route, its tests and docs/openai.md."""

from collections.abc import Mapping
from typing import Any

from server.http.errors import bad_request
from server.openai.chat.fields import Fate, Field, unknown


def _refused(why: str, *harmless: Any) -> Field:
    return Field(Fate.REFUSED, why, harmless)


FIELDS: Mapping[str, Field] = {
    "model": Field(
        Fate.HONOURED, "`ragpod`, `ragpod:STORE`, or the engine's own id: no retrieval without `file_search`"
    ),
    "input": Field(Fate.HONOURED, "a string, or items: messages, function calls and outputs, references"),
    "instructions": Field(Fate.HONOURED, "of this response alone, not of the ones that follow it"),
    "previous_response_id": Field(Fate.HONOURED, "its input and output come before this input"),
    "stream": Field(Fate.HONOURED, "missing means false"),
    "stream_options": Field(Fate.HONOURED, "`include_obfuscation`; only with `stream`"),
    "store": Field(Fate.HONOURED, "false: it can be neither read again nor continued"),
    "include": Field(Fate.HONOURED, "`file_search_call.results`, `message.output_text.logprobs`; others are refused"),
    "tools": Field(Fate.HONOURED, "`file_search` here, `function` by the engine; others are refused"),
    "tool_choice": Field(Fate.HONOURED, "`none`, `auto`, `required`, `file_search` or one function"),
    "metadata": Field(Fate.HONOURED, "16 pairs of strings, kept with the response"),
    "user": Field(Fate.HONOURED, "kept with the turn, and shown in its trace"),
    "safety_identifier": Field(Fate.HONOURED, "kept with the turn, and shown in its trace"),
    "max_output_tokens": Field(Fate.HONOURED, "cut to `limits.max_tokens`; then the status is `incomplete`"),
    "truncation": Field(
        Fate.HONOURED,
        "`auto` leaves early turns out, the default beside documents; `disabled` refuses",
    ),
    "max_tool_calls": Field(Fate.HONOURED, "one search is made, so every number allows it"),
    "temperature": Field(Fate.PASSED, "0 to 2"),
    "top_p": Field(Fate.PASSED, "0 to 1"),
    "top_logprobs": Field(Fate.PASSED, "0 to 20, with `include` of the log probabilities"),
    "parallel_tool_calls": Field(Fate.PASSED, "with `function` tools"),
    "text": Field(Fate.PASSED, "`format`: `text`, `json_object`, `json_schema`; `verbosity` only `medium`"),
    "reasoning": Field(Fate.PASSED, "`effort`; summaries are refused: thoughts come whole, as a `reasoning` item"),
    "prompt_cache_key": Field(Fate.ACCEPTED, "the engine's prefix cache needs no key"),
    "prompt_cache_retention": _refused("the engine's cache lives in memory", "in_memory"),
    "prompt_cache_options": _refused("the engine's cache finds its prefixes itself", {}, {"mode": "implicit"}),
    "service_tier": _refused("there is one tier", "auto", "default"),
    "background": _refused("a response is answered on its own connection", False),
    "conversation": _refused("use previous_response_id"),
    "context_management": _refused("early turns are left out where they would not fit", []),
    "prompt": _refused("no prompts are stored here"),
    "moderation": _refused("no moderation model runs here"),
    "image": _refused("images are not read here"),
    "access_programs": _refused("there are none here", {}),
}


def refuse(given: Mapping[str, Any]) -> None:
    """Raises ApiError (400), naming the field, for one that is unknown or whose effect cannot be had."""
    for name, value in given.items():
        field = FIELDS.get(name)
        if value is None or (field and value in field.harmless):
            continue
        if field is None:
            raise unknown(name)
        raise bad_request(f"{name!r} is not supported here: {field.why}", name, "unsupported_parameter")
