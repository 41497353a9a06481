"""A closed load of chat users over HTTP: each asks, reads the whole stream, asks again. Timed is the first word."""

import asyncio
import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

# A delta that says something; a model with random weights may think it all.
_WORDS = re.compile(rb'"(?:content|reasoning)": ?"[^"]')
_TAIL = 8000  # bytes of a stream that hold its last chunk


@dataclass(slots=True)
class Answer:
    """first_s, total_s: since the request. words: deltas with text. timings_ms: the server's own, by stage.

    usage: tokens, where the request asks for it (stream_options). degraded: what the server left out of the work.
    """

    first_s: float = 0.0
    total_s: float = 0.0
    words: int = 0
    timings_ms: dict[str, float] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)
    wrong: str | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """url: ends before /v1. extra: fields of every request, beside model, messages, stream and max_tokens."""

    url: str
    model: str
    max_tokens: int
    extra: dict[str, object] = field(default_factory=dict)

    async def run(self, users: int, questions: Sequence[str]) -> tuple[list[Answer], float]:
        """Every question once, `users` at a time, and the seconds of all of it."""
        waiting = iter(questions)
        connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=600)
        async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
            since = time.perf_counter()
            answered = await asyncio.gather(*(self._user(session, waiting) for _ in range(users)))
            seconds = time.perf_counter() - since
        return [answer for answers in answered for answer in answers], seconds

    async def _user(self, session: aiohttp.ClientSession, waiting: Iterator[str]) -> list[Answer]:
        return [await self._ask(session, question) for question in waiting]

    async def _ask(self, session: aiohttp.ClientSession, question: str) -> Answer:
        messages = [{"role": "user", "content": question}]
        body = {"model": self.model, "messages": messages, "stream": True, "max_tokens": self.max_tokens, **self.extra}
        answer, since, last = Answer(), time.perf_counter(), b""
        async with session.post(f"{self.url}/v1/chat/completions", json=body) as response:
            async for line in response.content:
                if _WORDS.search(line):
                    answer.first_s = answer.first_s or time.perf_counter() - since
                    answer.words += 1
                last = (last + line)[-_TAIL:]
        answer.total_s = time.perf_counter() - since
        text = last.decode(errors="replace")
        answer.timings_ms, answer.usage = _last(text, "timings_ms") or {}, _last(text, "usage") or {}
        answer.degraded = _last(text, "degraded") or []
        if response.status != 200 or "[DONE]" not in text or not answer.words:
            answer.wrong = f"HTTP {response.status}: {text[-300:]}"
        return answer


def _last(text: str, name: str) -> Any:
    """The last JSON value under this name in a stream's end; None where there is none."""
    at = text.rfind(f'"{name}":')
    return json.JSONDecoder().raw_decode(text[at + len(name) + 3 :])[0] if at >= 0 else None
