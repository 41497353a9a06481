"""An OpenAI-compatible server over a real socket that streams badly in one way, or well."""

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

WORDS = [f"word{n} " for n in range(40)]
WORD_SECONDS = 0.006
USAGE = {"prompt_tokens": 5, "completion_tokens": 40, "total_tokens": 45}


class FaultyEngine:
    """fault: of the stream, one word; empty for none. silent: seconds without a byte before the first word."""

    def __init__(self, fault: str, silent: float) -> None:
        self.fault, self.silent = fault, silent
        self.running = 0
        self.ids = itertools.count(1)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.running += 1
        try:
            if body.get("stream"):
                return await self._stream(request, body)
            return await self._whole(body)
        finally:
            self.running -= 1

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=f'# TYPE x gauge\nvllm:num_requests_running{{model_name="m"}} {self.running}.0\n')

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})

    async def _whole(self, body: dict[str, Any]) -> web.Response:
        if self.fault == "picky" and "max_tokens" in body:
            error = {"message": "use max_completion_tokens", "param": "max_tokens"}
            return web.json_response({"error": error}, status=400)
        count = min(len(WORDS), body.get("max_tokens") or body["max_completion_tokens"])
        for _ in range(int(self._length(body) * count / len(WORDS))):
            await self._pause()
        text = "".join(self._words()[:count])
        message = {"role": "assistant", "content": text}
        return web.json_response({"id": "w", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        if self.fault == "gzip":
            headers["Content-Encoding"] = "gzip"
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        held = b""
        async for data in self._events(body):
            held += data
            if self.fault not in ("buffers", "gzip") or data.endswith(b"[DONE]\n\n"):
                await self._write(response, gzip.compress(held) if self.fault == "gzip" else held)
                held = b""
        return response

    async def _events(self, body: dict[str, Any]) -> AsyncIterator[bytes]:
        identity = "chatcmpl-0" if self.fault == "same-id" else f"chatcmpl-{next(self.ids)}"

        def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            return event({"id": identity, "object": "chat.completion.chunk", "choices": [choice]})

        yield chunk({"role": "assistant", "content": ""})
        await asyncio.sleep(self.silent)
        for text in self._streamed(self._length(body)):
            await self._pause()
            yield chunk({"content": text} | ({"role": "assistant"} if self.fault == "roles" else {}))
        if self.fault == "id-only":
            yield b"id: 7\n\n"
        if self.fault != "no-finish":
            yield chunk({}, "stop")
        if self.fault == "usage-unasked" or (body.get("stream_options") or {}).get("include_usage"):
            yield event({"id": identity, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
        if self.fault != "no-done":
            yield b"data: [DONE]\n\n"

    def _words(self) -> list[str]:
        return [f"{next(self.ids)}-{word}" for word in WORDS] if self.fault == "random" else WORDS

    def _streamed(self, length: int) -> list[str]:
        words = list(self._words())
        match self.fault:
            case "doubles":
                words.append("".join(words))
            case "loses":
                del words[7]
            case "reorders":
                words[7], words[8] = words[8], words[7]
            case "half-characters":
                words[3] = "\ud83d"
            case "other":
                words[20:] = ["something else "] * 20
        return words if length == len(WORDS) else words * (length // len(words))

    def _length(self, body: dict[str, Any]) -> int:
        """The long story that is left goes on for some seconds."""
        return len(WORDS) * (20 if "story" in str(body["messages"]) else 1)

    async def _pause(self) -> None:
        await asyncio.sleep(WORD_SECONDS)

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        try:
            await response.write(data)
        except ConnectionError:
            if self.fault != "goes-on":
                raise


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


@asynccontextmanager
async def faulty_engine(fault: str = "", silent: float = 0.0) -> AsyncIterator[str]:
    """Its URL."""
    engine = FaultyEngine(fault, silent)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", engine.chat)
    app.router.add_get("/v1/models", engine.models)
    app.router.add_get("/metrics", engine.metrics)
    runner = web.AppRunner(app, handler_cancellation=fault != "goes-on", shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
