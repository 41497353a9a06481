"""Callers who send no whole request, or leave: each costs a bounded while, and all others are answered as ever."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.server.app.process import process, ready
from tests.stub_engine import StubEngine
from tests.until import PATIENCE, until

pytestmark = pytest.mark.slow
PIECE = 1 << 16
HEAD = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nA: "
BODY = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a-key-of-this-test\r\n"
    b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
)
LIMITS = {
    "RAGPOD_LIMITS_HEADER_SECONDS": "1",
    "RAGPOD_LIMITS_BODY_SECONDS": "1",
    "RAGPOD_LIMITS_ADDRESS_CONNECTIONS": "20",
    "RAGPOD_LIMITS_ADDRESS_EXEMPT": "127.0.0.0/30",
    "RAGPOD_API_KEYS": "a-key-of-this-test",
    "RAGPOD_LOG_LEVEL": "debug",
    "RAGPOD_PARSING_WORKERS": "0",
}
ASKED = b'{"model": "ragpod", "messages": [{"role": "user", "content": "hi"}]}'
WHOLE = BODY.replace(b"100000", b"%d" % len(ASKED)) + ASKED
UPLOAD = BODY.replace(b"chat/completions", b"files").replace(b"application/json", b"multipart/form-data; boundary=b")
KEY = {"x-api-key": "a-key-of-this-test"}
CROWDED = "127.0.0.77"  # not exempt


class Server:
    """A process that all tests of this module abuse, each after what the others have left of it."""

    def __init__(self, pid: int, url: str, log: Path) -> None:
        self.url, self._pid, self._log = url, pid, log
        self.host, self.port = url.removeprefix("http://").split(":")

    async def connected(self, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, int(self.port), local_addr=(source, 0))

    async def healthy(self) -> bool:
        async with aiohttp.ClientSession() as client, client.get(f"{self.url}/health") as response:
            return response.status == 200

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self._pid}/fd").iterdir()))

    def resident(self) -> int:
        """Bytes."""
        return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * 4096

    def said(self) -> str:
        return self._log.read_text()


@asynccontextmanager
async def abused(tmp_path: Path) -> AsyncIterator[Server]:
    with (tmp_path / "log").open("wb") as log:
        async with StubEngine() as stub, process(tmp_path / "data", stub, LIMITS, log) as (child, url):
            async with aiohttp.ClientSession() as client:
                await ready(client, url)
            server = Server(child.pid, url, tmp_path / "log")
            yield server
            assert await server.healthy()
            assert child.returncode is None
            assert "Traceback" not in server.said()


async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """All until the server ends it."""
    said = b""
    with suppress(ConnectionError):
        said = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return said


async def test_whoever_sends_no_whole_request_is_ended_and_costs_nothing_that_stays(tmp_path: Path) -> None:
    """A giant header; half heads; half bodies; bodies and heads that trickle."""
    async with abused(tmp_path) as server:
        before, room = server.descriptors(), server.resident()
        assert await giant_header(server) < 16 << 20
        halves = [await server.connected() for _ in range(60)]
        for number, (_, writer) in enumerate(halves):
            writer.write((HEAD, BODY, BODY + b'{"model": "rag')[number % 3])
        trickling = [await server.connected() for _ in range(6)]
        drops = [asyncio.create_task(trickle(writer, (HEAD, BODY)[n % 2])) for n, (_, writer) in enumerate(trickling)]
        assert await server.healthy()
        ended = await asyncio.gather(*(heard(*each) for each in [*halves, *trickling]))
        for drop in drops:
            drop.cancel()
        assert {said[:12] for said in ended} == {b"HTTP/1.1 408"}
        await until(lambda: server.descriptors() <= before, PATIENCE)
        assert server.resident() - room < 64 << 20


async def giant_header(server: Server) -> int:
    """How many bytes were taken before it was refused."""
    reader, writer = await server.connected()
    writer.write(HEAD)
    sent = 0
    with suppress(ConnectionError):
        while sent < 100 << 20 and not reader.at_eof():
            writer.write(b"a" * PIECE)
            await writer.drain()
            sent += PIECE
    said = await heard(reader, writer)
    assert said[:12] in (b"HTTP/1.1 431", b"")  # reset, where it has not read all that had been sent
    return sent


async def trickle(writer: asyncio.StreamWriter, begun: bytes) -> None:
    """A byte now and then: never silent for long, and never done."""
    writer.write(begun)
    with suppress(ConnectionError):
        while True:
            await asyncio.sleep(0.1)
            writer.write(b"a")
            await writer.drain()


async def test_an_address_has_its_share_of_the_connections_and_leaves_others_theirs(tmp_path: Path) -> None:
    async with abused(tmp_path) as server:
        held = [await server.connected(CROWDED) for _ in range(25)]
        for _, writer in held:
            writer.write(BODY)
        answers = await asyncio.gather(*(heard(*each) for each in held))
        statuses = [said[9:12] for said in answers]
        assert (statuses.count(b"408"), len(statuses) - statuses.count(b"408")) == (20, 5)
        assert set(statuses) - {b"408"} <= {b"429", b"503", b""}
        assert all(await asyncio.gather(*(server.healthy() for _ in range(30))))


async def test_200_clients_that_leave_at_random_moments_leave_nothing_behind(tmp_path: Path) -> None:
    chance = random.Random(11)
    async with abused(tmp_path) as server:
        before = server.descriptors()
        for _ in range(200):
            reader, writer = await server.connected()
            request = chance.choice((HEAD + b"x\r\n\r\n", BODY + b"{" * 5000, WHOLE, UPLOAD + b"--b\r\nContent-"))
            writer.write(request[: chance.randrange(len(request) + 1)])
            if chance.random() < 0.5:
                await writer.drain()
            if chance.random() < 0.2:
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(100), 0.02)
            if chance.random() < 0.5:
                writer.transport.abort()
            else:
                writer.close()
        await until(lambda: server.descriptors() <= before, PATIENCE)
        async with aiohttp.ClientSession(headers=KEY) as client, client.get(f"{server.url}/v1/files") as response:
            assert (response.status, (await response.json())["data"]) == (200, [])
        left = [line for line in server.said().splitlines() if "the client left" in line]
        assert all(" DEBUG " in line for line in left)
        assert left
