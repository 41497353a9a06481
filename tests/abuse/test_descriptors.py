"""A server with few file descriptors, and more half requests than these: it says that it lives."""

import asyncio
import signal
from pathlib import Path

import aiohttp

from server.app.run import Ending
from tests.server.app.process import process, ready
from tests.stub_engine import StubEngine
from tests.until import PATIENCE

DESCRIPTORS = 256


async def half_heads(url: str, count: int) -> list[asyncio.StreamWriter]:
    host, port = url.removeprefix("http://").split(":")
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\n")
        writers.append(writer)
    return writers


async def test_health_answers_where_every_other_place_is_held_by_half_a_request(tmp_path: Path) -> None:
    settings = {"RAGPOD_LIMITS_HEADER_SECONDS": "3600"}
    async with (
        StubEngine() as stub,
        process(tmp_path / "data", stub, settings, descriptors=DESCRIPTORS) as (child, url),
    ):
        async with aiohttp.ClientSession() as client:
            await ready(client, url)
        held = await half_heads(url, DESCRIPTORS + 4)
        for path in ("/health", "/ready"):
            async with aiohttp.ClientSession() as client, client.get(url + path) as response:
                assert response.status == 200
        for writer in held:
            writer.close()
        child.terminate()
        assert await asyncio.wait_for(child.wait(), PATIENCE) == Ending.DRAINED


async def test_health_answers_after_a_moment_in_which_the_server_did_not_run(tmp_path: Path) -> None:
    """All connections of that moment are accepted in one go, before any gives way to another."""
    settings = {"RAGPOD_LIMITS_HEADER_SECONDS": "3600"}
    async with (
        StubEngine() as stub,
        process(tmp_path / "data", stub, settings, descriptors=DESCRIPTORS) as (child, url),
    ):
        async with aiohttp.ClientSession() as client:
            await ready(client, url)
        for _ in range(3):
            child.send_signal(signal.SIGSTOP)
            connecting = asyncio.gather(half_heads(url, DESCRIPTORS + 4), return_exceptions=True)
            await asyncio.sleep(0.2)
            asked = [asyncio.create_task(health(url)) for _ in range(5)]
            await asyncio.sleep(0.2)
            child.send_signal(signal.SIGCONT)
            assert await asyncio.wait_for(asyncio.gather(*asked), PATIENCE) == [200] * 5
            for writer in (await asyncio.wait_for(connecting, PATIENCE))[0]:
                writer.close()


async def health(url: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/health") as response:
        return response.status
