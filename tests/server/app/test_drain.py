"""The end of the grace after a signal: each client is told in its own form, turns are kept, the exit code says it."""

import asyncio
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from models.wire.sse import SseParser
from server.app.run import Ending
from tests.server.app.process import PROGRAM, process, ready, refuses
from tests.server.house import QUESTION
from tests.stub_engine import Hold, StubEngine
from tests.until import PATIENCE

MESSAGES = [{"role": "user", "content": QUESTION}]
CHAT = {"model": "ragpod", "messages": MESSAGES}
STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", CHAT | {"stream": True}),
    "relay": ("/v1/chat/completions", CHAT | {"model": "stub", "stream": True}),
    "responses": ("/v1/responses", {"model": "ragpod", "input": QUESTION, "stream": True}),
    "simple": ("/api/v1/chat/stream", {"question": QUESTION}),
}
WAITING: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", CHAT),
    "relay": ("/v1/chat/completions", CHAT | {"model": "stub"}),
    "responses": ("/v1/responses", {"model": "ragpod", "input": QUESTION}),
    "simple": ("/api/v1/chat", {"question": QUESTION}),
}


async def streamed(client: aiohttp.ClientSession, url: str, body: dict[str, Any], begun: asyncio.Semaphore) -> bytes:
    async with client.post(url, json=body) as response:
        first = await response.content.readuntil("배송은".encode())
        begun.release()
        return first + await response.read()


async def refused(client: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> tuple[int, str, dict[str, Any]]:
    async with client.post(url, json=body) as response:
        return response.status, response.headers.get("Retry-After", ""), await response.json()


async def half_an_upload(url: str) -> bytes:
    """All that comes back for a request whose body stays away."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/files HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    writer.write(f"{head}Content-Length: 1000\r\n\r\n--b\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def test_at_the_end_of_the_grace_everyone_is_told_and_every_turn_is_kept(data_dir: Path, tmp_path: Path) -> None:
    begun = asyncio.Semaphore(0)
    async with StubEngine() as stub:
        with (tmp_path / "log").open("wb") as log:
            async with (
                process(data_dir, stub, {"RAGPOD_LIMITS_DRAIN_SECONDS": "0.5"}, log) as (child, url),
                aiohttp.ClientSession() as client,
            ):
                await ready(client, url)
                stub.script("배송은 ", Hold())
                tasks = {
                    name: asyncio.create_task(streamed(client, url + path, body, begun))
                    for name, (path, body) in STREAMS.items()
                }
                for _ in tasks:
                    await asyncio.wait_for(begun.acquire(), PATIENCE)
                waiting = {
                    name: asyncio.create_task(refused(client, url + path, body))
                    for name, (path, body) in WAITING.items()
                }
                upload = asyncio.create_task(half_an_upload(url))
                await stub.started(len(tasks) + len(waiting))
                child.terminate()
                ended = {name: await asyncio.wait_for(task, PATIENCE) for name, task in tasks.items()}
                told = {name: await asyncio.wait_for(task, PATIENCE) for name, task in waiting.items()}
                cut = await asyncio.wait_for(upload, PATIENCE)
                assert await asyncio.wait_for(child.wait(), PATIENCE) == Ending.CUT
            await stub.idle()
    with closing(sqlite3.connect(data_dir / "turns.db")) as database:
        kept = Counter(orjson.loads(turn)["status"] for (turn,) in database.execute("SELECT turn FROM turns"))
    check_streams(ended)
    for name, (status, retry, body) in told.items():
        assert (name, status, retry, body["error"]["code"]) == (name, 503, "5", "shutting_down")
    head, _, body = cut.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5" in head.lower()
    assert orjson.loads(body)["error"]["code"] == "shutting_down"
    assert kept == {"cancelled": 6}  # the engine's own id keeps none
    assert "Traceback" not in (tmp_path / "log").read_text()


def check_streams(ended: dict[str, bytes]) -> None:
    """An error event, then what ends a stream of that API."""
    events = {name: SseParser().feed(whole) for name, whole in ended.items()}
    for name in ("chat", "relay"):
        assert events[name][-1] == b"[DONE]"
        assert orjson.loads(events[name][-2])["error"]["code"] == "shutting_down", name
    error, failed = map(orjson.loads, events["responses"][-2:])
    assert (error["type"], failed["type"]) == ("error", "response.failed")
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["type"] == "shutting_down"
    error, done = map(orjson.loads, events["simple"][-2:])
    assert (error["error"]["code"], done["finish_reason"]) == ("shutting_down", "error")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_at_once_and_streams_are_still_told(data_dir: Path, number: signal.Signals) -> None:
    begun = asyncio.Semaphore(0)
    path, body = STREAMS["chat"]
    async with StubEngine() as stub, process(data_dir, stub, {}) as (child, url), aiohttp.ClientSession() as client:
        await ready(client, url)
        stub.script("배송은 ", Hold())
        stream = asyncio.create_task(streamed(client, url + path, body, begun))
        await asyncio.wait_for(begun.acquire(), PATIENCE)
        child.terminate()
        await refuses(url)
        child.send_signal(number)
        assert (await asyncio.wait_for(stream, PATIENCE)).endswith(b"data: [DONE]\n\n")
        assert await asyncio.wait_for(child.wait(), PATIENCE) == Ending.FORCED


CLOSES_SLOWLY = f"""
import asyncio
from contextlib import asynccontextmanager
import server.app.run as run

opened = run.open_parts

@asynccontextmanager
async def slow(settings):
    async with opened(settings) as parts:
        yield parts
        print("closing", flush=True)
        await asyncio.sleep(1)

run.open_parts = slow
run.FORCED_SECONDS = {PATIENCE}  # a busy machine closes slowly
{PROGRAM}"""


async def test_a_second_signal_while_the_parts_close_leaves_the_code_of_how_the_requests_ended(data_dir: Path) -> None:
    async with StubEngine() as stub, process(data_dir, stub, {}, program=CLOSES_SLOWLY) as (child, url):
        async with aiohttp.ClientSession() as client:
            await ready(client, url)
        child.terminate()
        assert child.stdout is not None
        assert await asyncio.wait_for(child.stdout.readline(), PATIENCE) == b"closing\n"
        child.terminate()
        assert await asyncio.wait_for(child.wait(), PATIENCE) == Ending.DRAINED


async def test_a_request_that_waits_for_its_place_is_refused_with_its_status(data_dir: Path) -> None:
    """Streams too, as nothing of them was sent."""
    settings = {"RAGPOD_LIMITS_DRAIN_SECONDS": "0.5", "RAGPOD_LIMITS_ANSWERS": "1"}
    begun = asyncio.Semaphore(0)
    path, body = STREAMS["chat"]
    async with (
        StubEngine() as stub,
        process(data_dir, stub, settings) as (child, url),
        aiohttp.ClientSession() as client,
    ):
        await ready(client, url)
        stub.script("배송은 ", Hold())
        stream = asyncio.create_task(streamed(client, url + path, body, begun))
        await asyncio.wait_for(begun.acquire(), PATIENCE)
        second = asyncio.create_task(refused(client, url + path, body))
        await queued(client, url)
        child.terminate()
        status, retry, told = await asyncio.wait_for(second, PATIENCE)
        assert (status, retry, told["error"]["code"]) == (503, "5", "shutting_down")
        assert (await asyncio.wait_for(stream, PATIENCE)).endswith(b"data: [DONE]\n\n")


async def queued(client: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            async with client.get(f"{url}/metrics") as response:
                if "ragpod_answers_waiting 1.0" in await response.text():
                    return
            await asyncio.sleep(0.02)
