"""Prompt tokens as an engine counts them, where it says; else an estimate. Never fails an answer."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import aiohttp

from models.base import Message

Dialect = Literal["openai", "vllm", "llama.cpp"]
_SECONDS = 2.0
_ASCII_PER_TOKEN = 3.5
_OTHERS_PER_TOKEN = 1.2  # Hangul under Qwen3's vocabulary; byte-level vocabularies take more
_TEMPLATE_TOKENS = 5


async def count_tokens(
    session: aiohttp.ClientSession | None, dialect: Dialect, root: str, model: str, messages: Sequence[Message]
) -> int:
    """root: the engine's URL without /v1. An engine that does not answer within 2 s is estimated."""
    if session is not None and dialect != "openai":
        try:
            async with asyncio.timeout(_SECONDS):
                return await _COUNTERS[dialect](session, root, model, messages)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, LookupError, TypeError):
            return estimate_tokens(messages)  # a count is bookkeeping: the answer goes on without it
    return estimate_tokens(messages)


def estimate_tokens(messages: Sequence[Message]) -> int:
    return sum(_TEMPLATE_TOKENS + estimate_text_tokens(message.content) for message in messages)


def estimate_text_tokens(text: str) -> int:
    ascii_ = len(text.encode("ascii", "ignore"))  # by bytecode a megabyte took 40 ms, on the event loop
    return math.ceil(ascii_ / _ASCII_PER_TOKEN + (len(text) - ascii_) / _OTHERS_PER_TOKEN)


async def _count_vllm(session: aiohttp.ClientSession, root: str, model: str, messages: Sequence[Message]) -> int:
    answer = await _post(session, f"{root}/tokenize", {"model": model, "messages": _plain(messages)})
    return int(answer["count"])


async def _count_llama(session: aiohttp.ClientSession, root: str, model: str, messages: Sequence[Message]) -> int:
    prompt = (await _post(session, f"{root}/apply-template", {"messages": _plain(messages)}))["prompt"]
    body = {"content": prompt, "add_special": True, "parse_special": True}
    return len((await _post(session, f"{root}/tokenize", body))["tokens"])


async def _post(session: aiohttp.ClientSession, url: str, body: object) -> Mapping[str, Any]:
    async with session.post(url, json=body, allow_redirects=False, raise_for_status=True) as response:
        answer: Mapping[str, Any] = await response.json()
        return answer


def _plain(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


_COUNTERS = {"vllm": _count_vllm, "llama.cpp": _count_llama}
