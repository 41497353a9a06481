"""What the server adds to a streamed chunk: a stub engine directly, by the engine's own model id, and as an answer.

    python -m benchmarks.relay [--streams 1,64,256] [--chunks 200] [--rate 50]

Engine, server and client are three processes; the engine paces every stream at `--rate` chunks a second. CPU is the
server process's own, by the kernel's nanoseconds: a chunk's is the difference between long and short streams, a
request's is what is left (search and the start of the stream). The last line is JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import uvloop

from benchmarks.paced_engine import MODEL, run_engine

DOCUMENT = "# Delivery\n\nDelivery takes two days. Returns are free within a week.\n"
QUESTION = "How long does delivery take?"
SHORT = 10  # chunks of a short stream


@dataclass(frozen=True, slots=True)
class Row:
    """chunks_s: relayed, all streams. cpu: of the server; None where there is no server between."""

    path: str
    streams: int
    chunks_s: float
    first_ms_p50: float
    first_ms_p99: float
    search_ms_p50: float | None
    cpu_us_chunk: float | None
    cpu_ms_request: float | None
    errors: int


@dataclass(slots=True)
class Stream:
    first_ms: float = 0.0
    chunks: int = 0
    search_ms: float | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """pid: of the server between, where there is one."""

    path: str
    url: str
    model: str
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    streams: list[Stream]
    seconds: float
    cpu: float

    @property
    def chunks(self) -> int:
        return sum(stream.chunks for stream in self.streams)


async def one(session: aiohttp.ClientSession, target: Target, chunks: int) -> Stream:
    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": target.model, "stream": True, "max_tokens": chunks, "messages": messages}
    begun, stream, last = time.perf_counter(), Stream(), b""
    async with session.post(f"{target.url}/v1/chat/completions", json=body) as response:
        async for data in response.content.iter_any():
            words = data.count(b'"content":" word"')
            if words and not stream.chunks:
                stream.first_ms = (time.perf_counter() - begun) * 1000
            stream.chunks += words
            last = (last + data)[-4000:]
    stream.failed = response.status != 200 or b"[DONE]" not in last or stream.chunks != chunks
    if (at := last.rfind(b'"timings_ms":')) >= 0:
        timings, _ = json.JSONDecoder().raw_decode(last[at + 13 :].decode())
        stream.search_ms = timings.get("search")
    return stream


async def run(session: aiohttp.ClientSession, target: Target, streams: int, chunks: int) -> Run:
    cpu, begun = cpu_seconds(target.pid), time.perf_counter()
    done = await asyncio.gather(*(one(session, target, chunks) for _ in range(streams)))
    return Run(done, time.perf_counter() - begun, cpu_seconds(target.pid) - cpu)


async def measure(target: Target, streams: int, chunks: int) -> Row:
    connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
        await run(session, target, streams, SHORT)
        short, long = await run(session, target, streams, SHORT), await run(session, target, streams, chunks)
    firsts = sorted(stream.first_ms for stream in long.streams)
    searches = [stream.search_ms for stream in long.streams if stream.search_ms is not None]
    per_chunk = (long.cpu - short.cpu) / max(long.chunks - short.chunks, 1)
    return Row(
        target.path,
        streams,
        round(long.chunks / long.seconds, 1),
        round(statistics.median(firsts), 1),
        round(firsts[int(len(firsts) * 0.99)], 1),
        round(statistics.median(searches), 1) if searches else None,
        round(per_chunk * 1e6, 1) if target.pid else None,
        round((short.cpu - per_chunk * short.chunks) / streams * 1e3, 2) if target.pid else None,
        sum(stream.failed for stream in long.streams),
    )


def cpu_seconds(pid: int | None) -> float:
    """Of all living threads."""
    if pid is None:
        return 0.0
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


@contextlib.contextmanager
def process(*arguments: str, **settings: str) -> Iterator[tuple[int, str]]:
    """A child of this module, ended with the context; gives its pid and the first line that it prints."""
    command = [sys.executable, "-m", "benchmarks.relay", *arguments]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | settings)
    try:
        assert child.stdout is not None
        told = child.stdout.readline().strip()
        if not told:
            raise RuntimeError(f"{' '.join(arguments)}: ended at its start (exit code {child.wait(30)})")
        yield child.pid, told
    finally:
        child.terminate()
        child.wait(30)


def run_server() -> None:
    from server.run import serve
    from server.settings import Settings

    serve(Settings.load(log_level="warning"), lambda url: print(url, flush=True))


async def put_document(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        form = aiohttp.FormData()
        form.add_field("purpose", "assistants")
        form.add_field("file", DOCUMENT.encode(), filename="delivery.md")
        file = await (await session.post("/v1/files", data=form)).json()
        store = await (await session.post("/v1/vector_stores", json={"name": "relay"})).json()
        path = f"/v1/vector_stores/{store['id']}/files"
        attached = await (await session.post(path, json={"file_id": file["id"]})).json()
        while attached["status"] == "in_progress":
            await asyncio.sleep(0.1)
            attached = await (await session.get(f"{path}/{file['id']}")).json()
        assert attached["status"] == "completed", attached


async def compare(engine: str, server: tuple[int, str], counts: list[int], chunks: int) -> list[Row]:
    pid, url = server
    await put_document(url)
    targets = [
        Target("direct", engine, MODEL),
        Target("engine id", url, MODEL, pid),
        Target("ragpod", url, "ragpod:relay", pid),
    ]
    return [await measure(target, streams, chunks) for streams in counts for target in targets]


def table(rows: list[Row]) -> Iterator[str]:
    direct = {row.streams: row.first_ms_p50 for row in rows if row.path == "direct"}
    yield "| path | streams | chunks/s | us a chunk | ms a request | TTFT p50, p99 | added p50 | search p50 | errors |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        added = "" if row.path == "direct" else f"{row.first_ms_p50 - direct[row.streams]:.1f}"
        cpu = (row.cpu_us_chunk or "", row.cpu_ms_request or "")
        first = f"{row.first_ms_p50} / {row.first_ms_p99}"
        cells = (row.path, row.streams, f"{row.chunks_s:.0f}", *cpu, first, added, row.search_ms_p50 or "", row.errors)
        yield "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", default="1,64,256")
    parser.add_argument("--chunks", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--role", choices=["engine", "server"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role == "engine":
        uvloop.run(run_engine(given.rate))
    elif given.role == "server":
        run_server()
    else:
        report(given)


def report(given: argparse.Namespace) -> None:
    counts = [int(count) for count in given.streams.split(",")]
    pace = ("--role", "engine", "--rate", str(given.rate))
    with tempfile.TemporaryDirectory() as folder, process(*pace) as (_, port):
        engine = f"http://127.0.0.1:{port}"
        settings = {
            "RAGPOD_PORT": "0",
            "RAGPOD_DATA_DIR": folder,
            "RAGPOD_ENGINE_URL": f"{engine}/v1",
            "RAGPOD_ENGINE_MODEL": MODEL,
            "RAGPOD_LIMITS_ANSWERS": str(max(counts)),
            "RAGPOD_RETRIEVAL_MIN_SCORE": "0",
        }
        with process("--role", "server", **settings) as server:
            rows = uvloop.run(compare(engine, server, counts, given.chunks))
    print(*table(rows), sep="\n")
    shape = {"streams": counts, "chunks": given.chunks, "rate": given.rate}
    machine = {"cpu": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({"benchmark": "relay", **shape, "machine": machine, "rows": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
