"""A fast OpenAI-compatible engine that streams at a set pace: what it costs is not what is measured."""

import asyncio
from typing import Any, cast

import orjson

MODEL = "relay-stub"
CITED = 10  # every so many words a mark


def word(number: int) -> str:
    """The numberth chunk, from 0, as an answer from documents is written."""
    return " [1]" if number % CITED == CITED - 1 else " word"


def text_of(chunks: int) -> str:
    return "".join(map(word, range(chunks)))


class Engine(asyncio.Protocol):
    """Streams max_tokens words at `rate` a second to every chat request; knows no more of HTTP than it must."""

    def __init__(self, rate: float) -> None:
        self.pause = 1 / rate
        self.received = b""
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def connection_lost(self, error: Exception | None) -> None:
        if self.timer:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        fields = [line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:]]
        if not end or len(body) < int(dict(fields).get(b"content-length", 0)):
            return
        self.received = b""
        if head.startswith(b"POST"):
            self.stream(orjson.loads(body))
        else:
            answer = orjson.dumps({"object": "list", "status": "ok", "data": [{"id": MODEL, "object": "model"}]})
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))

    def stream(self, request: dict[str, Any]) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.transport.write(head)
        self.sent, self.wanted = 0, request["max_tokens"]
        self.due = asyncio.get_running_loop().time()
        self.tick()

    def tick(self) -> None:
        if self.sent < self.wanted:
            self.event({"delta": {"content": word(self.sent)}, "index": 0, "finish_reason": None})
            self.sent, self.due = self.sent + 1, self.due + self.pause
            self.timer = asyncio.get_running_loop().call_at(self.due, self.tick)
            return
        self.event({"delta": {}, "index": 0, "finish_reason": "stop"})
        self.write(b"data: [DONE]\n\n")
        self.transport.write(b"0\r\n\r\n")

    def event(self, choice: object) -> None:
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
        self.write(b"data: " + orjson.dumps(chunk | {"choices": [choice]}) + b"\n\n")

    def write(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))


async def run_engine(rate: float) -> None:
    """Prints its port, then serves until it is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Engine(rate), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
