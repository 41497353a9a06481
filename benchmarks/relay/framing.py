"""What the framing of server-sent events costs a chunk: server/http/sse.py beside sse-starlette, in the same process.

    pip install sse-starlette
    python -m benchmarks.relay.framing [--streams 1,64,256] [--chunks 200] [--rate 50] [--rounds 3]

Both send the same paced words as bytes ready made, hold the status back until the first of them, and have heartbeats, a
limit on each send and a watch for clients that leave. `bare` has none of it: only the bytes as they come. CPU is the
server process's own; `streams_core` is how many such streams one core of it carries, the difference of two ways being
what one of them costs in streams. The last line is JSON.
"""

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from benchmarks.harness import note, options, report, skip
from benchmarks.relay.__main__ import middle_of
from benchmarks.relay.load import Row, Target, measure
from benchmarks.relay.paced_engine import word
from benchmarks.relay.processes import process

if TYPE_CHECKING:
    from server.http.sse import EventStream

WAYS = ("bare", "server/http/sse.py", "sse-starlette")
HEARTBEAT = 15.0


async def words(count: int, rate: float) -> AsyncIterator[bytes]:
    """Chunks of a chat completion as JSON, at their pace."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for number in range(count):
        yield orjson.dumps({"choices": [{"index": 0, "delta": {"content": word(number)}}]})
        due += 1 / rate
        await asyncio.sleep(max(due - loop.time(), 0))
    yield b"[DONE]"


def framed(item: bytes) -> bytes:
    return b"data: " + item + b"\n\n"


def application(rate: float) -> Starlette:
    from server.answering.run import Rendered
    from server.answering.running import Running
    from server.http.sse import EventStream

    Held = held(EventStream)

    async def completions(request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        items = words(body["max_tokens"], rate)
        if body["model"] == "server/http/sse.py":
            return EventStream(Running(Rendered(item, framed(item)) async for item in items), HEARTBEAT)
        if body["model"] == "sse-starlette":
            return Held(Running(Rendered(item, framed(item)) async for item in items), HEARTBEAT)
        return StreamingResponse((framed(item) async for item in items), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"]), Route("/", _ready)])


def held(base: type["EventStream[bytes]"]) -> type["EventStream[bytes]"]:
    """sse-starlette's response behind our held-back status."""
    from sse_starlette import EventSourceResponse, ServerSentEvent

    class Held(base):  # type: ignore[misc, valid-type]
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            first = await self._before_headers()
            assert isinstance(first, bytes)
            ping = ServerSentEvent(comment="ping", sep="\n")
            response = EventSourceResponse(
                self._frames(first), ping=HEARTBEAT, ping_message_factory=lambda: ping, send_timeout=self._patience
            )
            await response(scope, receive, send)

        async def _frames(self, first: bytes) -> AsyncIterator[bytes]:
            yield first
            try:
                while (items := await self._running.next(HEARTBEAT)) is not None:
                    if items:
                        yield b"".join([item.frames for item in items])
            finally:
                await self._running.close()

    return Held


async def _ready(request: Request) -> Response:
    return JSONResponse({})


async def run_server(rate: float) -> None:
    """Prints its URL, then serves until it is ended."""
    server = uvicorn.Server(uvicorn.Config(application(rate), log_level="warning", http="httptools", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # who connects now waits in its queue
        await server.serve([listener])


@dataclass(frozen=True, slots=True)
class Carried(Row):
    """streams_core: at the benchmark's rate, by the CPU of a chunk."""

    streams_core: int

    @classmethod
    def of(cls, row: Row, rate: float) -> "Carried":
        return cls(**asdict(row), streams_core=round(1e6 / (rate * (row.cpu_us_chunk or 1e6))))


async def compare(url: str, pid: int, given: argparse.Namespace) -> list[Carried]:
    rows: list[Carried] = []
    for streams in (int(count) for count in given.streams.split(",")):
        of_way: dict[str, list[Row]] = {way: [] for way in WAYS}
        for _ in range(given.rounds):
            for way in WAYS:
                of_way[way].append(await measure(Target(way, url, way, pid), streams, given.chunks))
                note(of_way[way][-1])
        rows += [Carried.of(middle_of(of_way[way]), given.rate) for way in WAYS]
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--streams", default="1,64,256")
    parser.add_argument("--chunks", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--role", choices=["server"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if find_spec("sse_starlette") is None:
        skip("framing", "sse-starlette is not installed: pip install sse-starlette")
    elif given.role == "server":
        uvloop.run(run_server(given.rate))
    else:
        with process("--role", "server", "--rate", str(given.rate), module="benchmarks.relay.framing") as (pid, url):
            report("framing", given, uvloop.run(compare(url, pid, given)))


if __name__ == "__main__":
    main()
