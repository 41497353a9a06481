"""What the framing of server-sent events costs a chunk: server/http/sse.py beside sse-starlette, in the same process.

    pip install sse-starlette; python -m benchmarks.framing [--streams 1,64,256] [--chunks 200] [--rate 50] [--rounds 3]

Both send the same paced words, with heartbeats and with a watch for clients that leave. `bare` has neither: only the
bytes as they come. CPU is the server process's own. The last line is JSON.
"""

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import Any

import orjson
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from benchmarks.harness import note, options, report, skip
from benchmarks.paced_engine import word
from benchmarks.relay import middle_of
from benchmarks.relay_load import Row, Target, measure
from benchmarks.relay_processes import process

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
    from sse_starlette import EventSourceResponse, ServerSentEvent

    from server.answering.run import Rendered
    from server.answering.running import Running
    from server.http.sse import EventStream

    async def completions(request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        items = words(body["max_tokens"], rate)
        if body["model"] == "server/http/sse.py":
            return EventStream(Running(Rendered(item, framed(item)) async for item in items), HEARTBEAT)
        if body["model"] == "sse-starlette":
            events = (ServerSentEvent(data=item.decode(), sep="\n") async for item in items)
            return EventSourceResponse(events, ping=round(HEARTBEAT), sep="\n")
        return StreamingResponse((framed(item) async for item in items), media_type="text/event-stream")

    return Starlette(routes=[Route("/v1/chat/completions", completions, methods=["POST"]), Route("/", _ready)])


async def _ready(request: Request) -> Response:
    return JSONResponse({})


async def run_server(rate: float) -> None:
    """Prints its URL, then serves until it is ended."""
    server = uvicorn.Server(uvicorn.Config(application(rate), log_level="warning", http="httptools", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # who connects now waits in its queue
        await server.serve([listener])


async def compare(url: str, pid: int, given: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    for streams in (int(count) for count in given.streams.split(",")):
        of_way: dict[str, list[Row]] = {way: [] for way in WAYS}
        for _ in range(given.rounds):
            for way in WAYS:
                of_way[way].append(await measure(Target(way, url, way, pid), streams, given.chunks))
                note(of_way[way][-1])
        rows += [middle_of(of_way[way]) for way in WAYS]
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
        with process("--role", "server", "--rate", str(given.rate), module="benchmarks.framing") as (pid, url):
            report("framing", given, uvloop.run(compare(url, pid, given)))


if __name__ == "__main__":
    main()
