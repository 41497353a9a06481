"""What one connection may send, whatever pieces it comes in: a real socket, a small application behind it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from server.listening.connections import RESERVED, ConnectionLimits, Connections
from server.listening.protocol import GuardedProtocol
from server.listening.server import DrainingServer, EndingQuietly
from tests.until import until

PATIENCE = 15.0

NEVER = 3600.0
LIMITS: dict[str, Any] = {"header_bytes": 2048, "header_lines": 20, "header_seconds": NEVER, "body_seconds": NEVER}
GET = b"GET /x HTTP/1.1\r\nHost: h\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """How many bytes the body has; /refuse does not read it."""
    size, more = 0, scope["path"] != "/refuse"
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(**limits: Any) -> AsyncIterator[tuple[int, Connections]]:
    """The port, and who is connected."""
    places, ready = Connections(ConnectionLimits(**{**LIMITS, **limits})), asyncio.Event()
    app = EndingQuietly(echo)
    http = cast(type[asyncio.Protocol], partial(GuardedProtocol, places))
    config = uvicorn.Config(app, port=0, http=http, lifespan="off", log_config=None, access_log=False)

    async def nothing() -> None: ...

    server = DrainingServer(config, app, places, nothing, 0.0, ready.set)
    task = asyncio.create_task(server.serve())
    await asyncio.wait_for(ready.wait(), PATIENCE)
    try:
        yield server.servers[0].sockets[0].getsockname()[1], places
    finally:
        server.should_exit = True
        await task


async def told(port: int, *pieces: bytes, source: str = "127.0.0.1") -> bytes:
    """All that is said until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionError:
        return b""
    finally:
        await closed([writer])


async def closed(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def pieces(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


@pytest.mark.parametrize("size", [37, 1000, 10_000])
async def test_a_head_is_served_up_to_its_limit_whatever_pieces_it_comes_in(size: int) -> None:
    fits = GET + b"A: " + b"a" * 1900 + b"\r\nConnection: close\r\n\r\n"
    too_much = GET + b"A: " + b"a" * 3200 + b"\r\nConnection: close\r\n\r\n"
    async with listening() as (port, _):
        assert (await told(port, *pieces(fits, size))).startswith(b"HTTP/1.1 200 ")
        refused = await told(port, *pieces(too_much, size))
        assert refused.startswith(b"HTTP/1.1 431 ")
        assert b'"code":"headers_too_large"' in refused


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param(GET + b"A: ", id="value"),
        pytest.param(GET + b"B", id="name"),
        pytest.param(b"GET /", id="url"),
        pytest.param(GET + b"".join(b"A%d: b\r\n" % i for i in range(30)), id="lines"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", id="trailer"),
        pytest.param(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;e=", id="extension"),
    ],
)
async def test_what_never_ends_is_refused_after_some_kilobytes(endless: bytes) -> None:
    async with listening() as (port, _):
        answer = await told(port, endless, *[b"a" * 1000] * 8)
    assert answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))


async def test_a_body_of_many_small_chunks_is_no_abuse() -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    async with listening() as (port, _):
        answer = await told(port, head, *[b"1\r\nx\r\n" * 100] * 30, b"0\r\n\r\n")
    assert answer.endswith(b"3000")


async def test_what_is_no_http_gets_openais_error() -> None:
    async with listening() as (port, _):
        answer = await told(port, b"\x16\x03\x01 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"error":{' in answer


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /", GET])
async def test_a_head_that_does_not_end_is_ended(sent: bytes) -> None:
    async with listening(header_seconds=0.2) as (port, _):
        answer = await told(port, sent)
    assert answer.startswith(b"HTTP/1.1 408 ") or (not answer and not sent.strip())


async def test_a_body_that_stays_away_is_ended_and_one_that_nobody_reads_too() -> None:
    post = b"POST %b HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"
    async with listening(body_seconds=0.2, header_seconds=0.2) as (port, _):
        assert (await told(port, post % b"/")).startswith(b"HTTP/1.1 408 ")
        assert (await told(port, post % b"/refuse")).startswith(b"HTTP/1.1 200 ")


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with listening(idle_seconds=0.2) as (port, _):
        answer = await told(port, GET + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1


async def held(
    port: int, places: Connections, count: int, source: str = "127.0.0.1", sent: bytes = b"GET /"
) -> list[asyncio.StreamWriter]:
    """One after the other: a connection that has sent nothing yet gives way to the next."""
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        writer.write(sent)
        writers.append(writer)
        await asyncio.sleep(0.01)
        if sent == b"GET /":
            await until(lambda: all(one.idle_since() is None for one in places), PATIENCE)
    return writers


async def test_a_probe_has_a_place_where_all_others_are_taken_and_no_other_request_has() -> None:
    probe = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
    async with listening(connections=8) as (port, places):
        holders = await held(port, places, 8 + RESERVED + 4)
        await until(lambda: len(places) == 8 + RESERVED, PATIENCE)
        for path in (b"/health", b"/ready?x=1", b"/health/"):
            assert (await told(port, probe % path)).startswith(b"HTTP/1.1 200 ")
        refused = await told(port, probe % b"/v1/models")
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in refused
        await closed(holders)
        await until(lambda: len(places) == 0, PATIENCE)
        assert (await told(port, GET + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_an_idle_connection_gives_way_to_a_new_one() -> None:
    async with listening(connections=8, idle_seconds=NEVER) as (port, places):
        holders = await held(port, places, 8, sent=GET + b"\r\n")
        await until(lambda: len(places) == 8, PATIENCE)
        assert (await told(port, GET + b"Connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        await closed(holders)


async def test_one_address_takes_no_more_than_its_share_unless_it_is_exempt() -> None:
    ask = GET + b"Connection: close\r\n\r\n"
    exempt = (ip_network("127.0.0.3/32"),)
    async with listening(of_address=2, exempt=exempt) as (port, places):
        holders = await held(port, places, 2, "127.0.0.2") + await held(port, places, 2, "127.0.0.3")
        await until(lambda: len(places) == 4, PATIENCE)
        assert (await told(port, ask, source="127.0.0.2")).startswith(b"HTTP/1.1 503 ")
        for other in ("127.0.0.3", "127.0.0.4"):
            assert (await told(port, ask, source=other)).startswith(b"HTTP/1.1 200 ")
        await closed(holders)
