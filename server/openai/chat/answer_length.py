"""How long the engine may write where it is asked by its own id: never longer than the server allows, said or not."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from models.base import Message
from models.wire.openai_client import OpenAIClient
from models.wire.token_counting import estimate_tokens
from server.http.errors import bad_request

EVERYONES = ("max_completion_tokens", "max_tokens")  # the second is the older name, which every engine knows
LLAMAS = "n_predict"  # llama.cpp's own, which wins there; others do not know it
_ESTIMATE_IS_SHORT = 2  # of code and digits the estimate may be half of what they take


def cut(raw: Mapping[str, Any], most: int) -> dict[str, Any]:
    """The lengths that the caller names, each cut to `most` tokens; less than none is llama.cpp's "no end".

    Raises ApiError (400).
    """
    asked = {name: raw[name] for name in (*EVERYONES, LLAMAS) if raw.get(name) is not None}
    for name, value in asked.items():
        if not isinstance(value, int):
            raise bad_request(f"{name!r} is a whole number", name)
    return {name: min(value, most) if value >= 0 else most for name, value in asked.items()}


async def unsaid(raw: Mapping[str, Any], texts: Sequence[Message], most: int, client: OpenAIClient) -> dict[str, Any]:
    """Where a request names no length in everyone's words: `most`, under the name that every engine knows.

    vLLM and its like refuse a number that does not fit beside the prompt. Where `most` does not, none is sent: the
    engine's context then ends the answer earlier than `most` would. texts: what the messages of `raw` say.
    """
    if any(raw.get(name) is not None for name in EVERYONES):
        return {}
    given = {"max_tokens": most}
    if client.traits.dialect == "llama.cpp" or not client.knows_context:
        return given  # llama.cpp takes any number
    room, size = client.context_tokens - most, len(orjson.dumps(raw))
    if size <= room:
        return given  # no token is shorter than a byte
    if client.traits.dialect == "vllm":
        prompt = await client.count_tokens(texts)
    else:
        prompt = _ESTIMATE_IS_SHORT * estimate_tokens(texts)
    others = size - sum(len(orjson.dumps(text.content)) for text in texts)  # tools, calls: not in any count
    return given if prompt + others <= room else {}
