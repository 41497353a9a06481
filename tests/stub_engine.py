"""A scripted OpenAI-compatible engine over a real socket: faults and timing a real engine cannot be asked for.

    async with StubEngine() as stub:
        stub.script("Hello", " [1]", Finish("stop"))      # every later request, until the next script()
        ... POST stub.url + "/chat/completions" ...
        stub.requests[-1]["messages"], stub.running, await stub.idle()

A script is a sequence of steps; a plain str is a content delta.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from tests.until import PATIENCE, until


@dataclass(frozen=True, slots=True)
class Reasoning:
    text: str
    field: str = "reasoning"


@dataclass(frozen=True, slots=True)
class Finish:
    """The finish chunk of every choice, the usage chunk where asked for, and [DONE]. others: of choices 1, 2, …"""

    reason: str = "stop"
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Say:
    """A content delta of any choice, or with its tokens' log probabilities."""

    text: str
    choice: int = 0
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A piece of a tool call, as engines send it: id and name with the first one."""

    arguments: str
    id: str | None = None
    name: str | None = None
    index: int = 0
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing more until stub.release() or the client leaves."""


@dataclass(frozen=True, slots=True)
class Die:
    """The connection is reset, as by a killed process."""


@dataclass(frozen=True, slots=True)
class End:
    """The HTTP response ends properly, without finish_reason and [DONE]."""


@dataclass(frozen=True, slots=True)
class Raw:
    """These bytes of the event stream, in one write."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Error:
    """In-band `data: {"error": …}` then [DONE], as vLLM does under HTTP 200."""

    code: int
    message: str = "stub error"


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP answer instead of a stream. Only as the first step (after Sleep or Hold)."""

    code: int
    message: str = "stub error"
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Step = str | Say | Call | Reasoning | Finish | Sleep | Hold | Die | End | Raw | Error | Status

TOO_LONG = Status(
    400,
    "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens.",
    param="input_tokens",
)


class StubEngine:
    """url: base URL with /v1. requests: bodies of chat requests. running: chat requests being answered now.

    write_size: None writes every event at once; n writes the stream in pieces of n bytes (half a syllable).
    silent_start: no chunk with the role before the first step, as vLLM refuses.
    """

    def __init__(self, model: str = "stub", *, usage: tuple[int, int] = (11, 3), port: int = 0) -> None:
        self.model = model
        self.usage = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
        self.running = 0
        self.connections = 0
        self.ids = itertools.count(1)
        self.released = asyncio.Event()
        self._port = port
        self._open: set[_Connection] = set()
        self.reset()

    def reset(self) -> None:
        """As it was when it was made, but for what runs: for the next test of those that share it."""
        self.write_size: int | None = None
        self.silent_start = False
        self.tokenize: int | None = None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.script("Hello", " world", Finish())

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def script(self, *steps: Step) -> None:
        self.steps: tuple[Step, ...] = steps
        self.released.clear()

    def release(self) -> None:
        self.released.set()

    async def started(self, count: int = 1, within: float = PATIENCE) -> None:
        """Until `count` chat requests run."""
        await until(lambda: self.running >= count, within)

    async def idle(self, within: float = PATIENCE) -> None:
        """Until no chat request runs; TimeoutError where one still does."""
        await until(lambda: self.running == 0, within)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in list(self._open):
            connection.transport.abort()
        await self._server.wait_closed()
        await until(lambda: not self._open, PATIENCE)


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, stub: StubEngine) -> None:
        self.stub = stub
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.stub._open.add(self)
        self.stub.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.stub._open.discard(self)
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        request_line, *lines = head.decode().split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        if len(body) < int(headers.get("content-length", 0)):
            return
        self.buffer = b""
        method, path, _ = request_line.split(" ", 2)
        self.task = asyncio.get_running_loop().create_task(self.answer(method, path, headers, body))

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        if path == "/v1/chat/completions":
            self.stub.headers.append(headers)
            self.stub.requests.append(orjson.loads(body))
            self.stub.running += 1
            try:
                await self.chat(self.stub.requests[-1])
            finally:
                self.stub.running -= 1
        elif path == "/v1/models":
            self.json(
                200,
                {
                    "object": "list",
                    "data": [{"id": self.stub.model, "object": "model", "max_model_len": 4096}],
                },
            )
        elif path == "/health":
            self.json(200, {"status": "ok"})
        elif path == "/tokenize" and self.stub.tokenize is not None:
            self.json(200, {"count": self.stub.tokenize, "max_model_len": 4096, "tokens": [1] * self.stub.tokenize})
        else:
            self.json(404, {"error": {"message": f"{method} {path} not found", "code": 404}})

    def json(self, status: int, data: object, headers: Mapping[str, str] | None = None) -> None:
        body = orjson.dumps(data)
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        lines = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
        self.transport.write(f"HTTP/1.1 {status} Stub\r\n{lines}\r\n".encode() + body)

    async def chat(self, request: dict[str, Any]) -> None:
        steps = self.stub.steps
        if not request.get("stream"):
            await self.whole(steps)
            return
        while steps and isinstance(steps[0], Sleep | Hold):
            await self.wait(steps[0])
            steps = steps[1:]
        if steps and isinstance(steps[0], Status):
            self.fail(steps[0])
            return
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await self.play(steps, request)

    async def play(self, steps: Sequence[Step], request: dict[str, Any]) -> None:
        identity = f"chatcmpl-{next(self.stub.ids)}"
        if not self.stub.silent_start:
            await self.event(self.chunk(identity, {"role": "assistant", "content": ""}))
        for step in steps:
            match step:
                case str():
                    await self.event(self.chunk(identity, {"content": step}))
                case Say():
                    await self.event(self.said(identity, step))
                case Call():
                    await self.event(self.chunk(identity, {"tool_calls": [called(step)]}, index=step.choice))
                case Reasoning():
                    await self.event(self.chunk(identity, {step.field: step.text}))
                case Raw():
                    await self.write(step.data)
                case Sleep() | Hold():
                    await self.wait(step)
                case Die():
                    self.transport.abort()
                    return
                case Error():
                    await self.event({"error": {"message": step.message, "type": "stub", "code": step.code}})
                    await self.write(b"data: [DONE]\n\n")
                case Finish():
                    await self.finish(identity, step, request)
        self.transport.write(b"0\r\n\r\n")

    async def finish(self, identity: str, step: Finish, request: dict[str, Any]) -> None:
        for index, reason in enumerate((step.reason, *step.others)):
            await self.event(self.chunk(identity, {}, reason, index))
        if (request.get("stream_options") or {}).get("include_usage"):
            await self.event(
                {"id": identity, "object": "chat.completion.chunk", "choices": [], "usage": self.stub.usage}
            )
        await self.write(b"data: [DONE]\n\n")

    async def whole(self, steps: Sequence[Step]) -> None:
        """The script as one chat.completion, for requests without stream."""
        text, reason = "", "stop"
        for step in steps:
            match step:
                case str():
                    text += step
                case Finish():
                    reason = step.reason
                case Sleep() | Hold():
                    await self.wait(step)
                case Status():
                    self.fail(step)
                    return
                case Die():
                    self.transport.abort()
                    return
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": reason}
        identity = f"chatcmpl-{next(self.stub.ids)}"
        self.json(200, {"id": identity, "object": "chat.completion", "choices": [choice], "usage": self.stub.usage})

    async def wait(self, step: Sleep | Hold) -> None:
        if isinstance(step, Sleep):
            await asyncio.sleep(step.seconds)
        else:
            await self.stub.released.wait()

    def fail(self, step: Status) -> None:
        error = {"message": step.message, "type": "stub", "param": step.param, "code": step.code}
        self.json(step.code, {"error": error}, step.headers)

    def said(self, identity: str, step: Say) -> dict[str, Any]:
        chunk = self.chunk(identity, {"content": step.text}, index=step.choice)
        if step.tokens:
            chunk["choices"][0]["logprobs"] = {"content": [logprob(token) for token in step.tokens]}
        return chunk

    def chunk(self, identity: str, delta: dict[str, Any], reason: str | None = None, index: int = 0) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "finish_reason": reason}
        return {
            "id": identity,
            "object": "chat.completion.chunk",
            "model": self.stub.model,
            "choices": [choice],
        }

    async def event(self, data: object) -> None:
        await self.write(b"data: " + orjson.dumps(data) + b"\n\n")

    async def write(self, data: bytes) -> None:
        size = self.stub.write_size or len(data)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(0)


def called(step: Call) -> dict[str, Any]:
    function = {"arguments": step.arguments} | ({"name": step.name} if step.name else {})
    return {"index": step.index, "function": function} | ({"id": step.id, "type": "function"} if step.id else {})


def logprob(token: str) -> dict[str, Any]:
    own = {"token": token, "bytes": list(token.encode()), "logprob": -0.5}
    return own | {"top_logprobs": [own, {"token": "?", "bytes": [63], "logprob": -2.0}]}
