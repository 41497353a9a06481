"""The engine under its own model id: no retrieval, every parameter, its bytes as they come.

The same admission, cancellation and limits as an answer from documents; no URL of a caller reaches the engine.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import orjson
from fastapi import Request, Response

from models.base import Message
from models.wire.engine_errors import status_of
from models.wire.sse import SseParser
from models.wire.whole_answer import Reply
from server.answering.ask import Asking, new_id
from server.answering.events import ErrorEvent
from server.answering.failures import RETRY_SECONDS, Failure
from server.answering.run import Relayed, Runs
from server.answering.running import within
from server.http.delivery import ended, streamed, whole
from server.http.errors import bad_request
from server.openai.chat.answer_length import cut, unsaid
from server.openai.chat.fields import refuse
from server.openai.chat.messages import ROLES, text_of
from server.openai.chat.relayed_events import END, WholeEvents
from server.openai.chat.requests import ChatRequest

# nginx's 499, client closed request: no SDK tries it again.
STOPPED = Failure(499, "stopped before the engine had answered", "request_cancelled", "cancelled").event()
_TEXTS = ("text", "refusal")
TEMPLATE_KEYS = frozenset({"enable_thinking"})
# Where the engine would fetch something, or run a caller's template.
_REACHES_OUT = re.compile(
    r"(^|_)(url|uri|base|endpoint|host|proxy)s?$|^chat_template$|^(media_io|mm_processor)_kwargs$|^kv_transfer_params$",
    re.IGNORECASE,
)


class Passthrough:
    """seconds: of a whole answer."""

    def __init__(self, runs: Runs, asking: Asking, seconds: float) -> None:
        self._runs, self._asking, self._seconds = runs, asking, seconds

    async def answer(self, owner: str, body: ChatRequest, request: Request) -> Response:
        """Raises ApiError where the engine is not asked, and where it refused or failed before its first byte."""
        payload = orjson.dumps(await self._payload(body, await request.json()))
        trace_id, items = new_id("trace"), self._bytes(payload)
        if body.stream:
            return streamed(self._runs.relay(owner, trace_id, items, WholeEvents(), STOPPED))
        content = Content()
        run = self._runs.relay(owner, trace_id, items, content, STOPPED)
        await ended(run, request.receive)
        return whole(run, content.read)

    async def _payload(self, body: ChatRequest, raw: dict[str, Any]) -> dict[str, Any]:
        """The caller's own body, checked, and no longer than the limit."""
        texts, most = self._checked(body, raw), self._asking.defaults.max_tokens
        return raw | cut(raw, most) | await unsaid(raw, texts, most, self._asking.generators.client)

    def _checked(self, body: ChatRequest, raw: dict[str, Any]) -> list[Message]:
        """What the messages say. Raises ApiError (400) naming what is not accepted."""
        limits = self._asking.defaults
        refuse(raw)
        for name in raw:
            if _REACHES_OUT.search(name) or name == "ragpod":
                raise bad_request(f"{name!r} is not accepted with the engine's own model id", name)
        unknown = set(raw.get("chat_template_kwargs") or {}) - TEMPLATE_KEYS
        if unknown:
            raise bad_request(f"not accepted: {sorted(unknown)}", "chat_template_kwargs")
        if isinstance(raw.get("priority"), int) and raw["priority"] < 0:
            raise bad_request("priority is 0 or more: no caller goes before the others", "priority")
        if len(body.messages) > limits.messages:
            raise bad_request(f"more than {limits.messages} messages", "messages")
        return [
            Message(ROLES.get(message.role, "tool"), text_of(message.content, f"messages[{i}].content", _TEXTS))
            for i, message in enumerate(body.messages)
        ]

    async def _bytes(self, payload: bytes) -> AsyncGenerator[Relayed, None]:
        async with (
            within(self._seconds, "the answer"),
            self._asking.generators.client.proxy("/chat/completions", payload) as reply,
        ):
            if reply.status != 200:
                yield (await _refusal(reply)).event()
                return
            streams = reply.headers.get("Content-Type", "").startswith("text/event-stream")
            async for chunk in _after_a_refusal(reply.chunks) if streams else reply.chunks:
                if chunk:
                    yield chunk
            yield END


async def _after_a_refusal(chunks: AsyncIterator[bytes]) -> AsyncIterator[Relayed]:
    """The chunks, or what they refuse: vLLM under load begins a stream with HTTP 200 and then says 503 in it."""
    start, begun, parser = b"", False, SseParser()
    async for chunk in chunks:
        if begun:
            yield chunk
            continue
        start += chunk
        if events := parser.feed(chunk):
            if (error := _error(events[0])) is not None:
                yield _failure(status_of(error), error, {}).event()
                return
            begun = True
            yield start
    if not begun and start:
        error = next(map(_error, parser.feed(b"\n\n")), None)
        yield start if error is None else _failure(status_of(error), error, {}).event()


async def _refusal(reply: Reply) -> Failure:
    """The engine's own error, its status kept."""
    content = b"".join([chunk async for chunk in reply.chunks])
    error = _error(content) or {"message": content.decode(errors="replace")[:500]}
    return _failure(reply.status, error, reply.headers)


def _error(content: bytes) -> dict[str, Any] | None:
    """OpenAI's error object, where the content is one."""
    try:
        error = orjson.loads(content)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return error if isinstance(error, dict) else {"message": str(error)}


def _failure(status: int, error: Mapping[str, Any], headers: Mapping[str, str]) -> Failure:
    code = error.get("code")
    return Failure(
        status,
        str(error.get("message") or "the engine refused the request"),
        str(error.get("type") or "engine_error"),
        None if code is None else str(code),
        error.get("param"),
        int(headers.get("Retry-After") or RETRY_SECONDS) if status in (429, 503) else None,
    )


class Content:
    """Of an answer that does not stream: nothing is shown before its end."""

    def __init__(self) -> None:
        self.read = b""

    def feed(self, event: Relayed) -> bytes:
        self.read += b"" if isinstance(event, ErrorEvent) else event
        return b""
