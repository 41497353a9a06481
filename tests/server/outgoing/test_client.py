"""The checked client over real sockets, with names that lead where they should not."""

import re
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from server.outgoing.addresses import Allowed
from server.outgoing.client import AddressRefused, open_session

pytestmark = pytest.mark.asyncio


class Names(AbstractResolver):
    """Each answer is given once, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=_family(address), proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in addresses
        ]

    async def close(self) -> None: ...


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.Response:
        if request.path == "/away":
            raise web.HTTPFound(f"http://127.0.0.1:{request.url.port}/")
        long = {"x-long": "x" * 100_000} if request.path == "/header" else None
        return web.Response(text="internal", headers=long)

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    yield site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    await runner.cleanup()


def session(allowed: Allowed, *answers: list[str]) -> aiohttp.ClientSession:
    resolver = Names(*answers) if answers else None
    return open_session(allowed, total_seconds=20, silence_seconds=20, resolver=resolver)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "localhost.", "0.0.0.0", "127.1", "2130706433", "0x7f.1",
     "017700000001", "①②⑦.0.0.1"],
)  # fmt: skip
async def test_no_way_of_writing_this_machine_leads_to_it(port: int, host: str) -> None:
    async with session(Allowed()) as client:
        with pytest.raises((aiohttp.ClientError, ValueError)):
            await client.get(f"http://{host}:{port}/")


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"])
async def test_a_name_with_one_address_that_is_not_public_is_refused_whole(port: int, address: str) -> None:
    for answer in ([address], ["93.184.216.34", address]):
        async with session(Allowed(["10.1.0.0/16"]), answer) as client:
            words = re.escape(f"docs.example ({address}) is not a public address")
            with pytest.raises(AddressRefused, match=words) as refused:
                await client.get(f"http://docs.example:{port}/")
            assert refused.value.where == f"docs.example ({address})"


async def test_of_a_session_for_one_request_nothing_is_kept(port: int) -> None:
    names = Names(["127.0.0.1"])
    for once, asked, kept in ((True, 2, 0), (False, 3, 1)):
        async with open_session(
            Allowed(["docs.example"]), total_seconds=20, silence_seconds=20, once=once, resolver=names
        ) as client:
            for _ in range(2):
                async with client.get(f"http://docs.example:{port}/") as response:
                    assert await response.text() == "internal"
            assert names.asked == asked
            assert len(client.connector._conns) == kept  # type: ignore[union-attr]


async def test_a_header_without_an_end_is_no_answer(port: int) -> None:
    async with session(Allowed(["127.0.0.1"])) as client:
        with pytest.raises(aiohttp.ClientError):
            await client.get(f"http://127.0.0.1:{port}/header")


async def test_a_name_that_changes_its_mind_is_asked_once_and_its_next_answer_is_looked_at_too(port: int) -> None:
    async with session(Allowed(["10.0.0.0/8"]), ["10.255.255.1"], ["127.0.0.1"]) as client:
        with pytest.raises((aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
            await client.get(f"http://docs.example:{port}/", timeout=aiohttp.ClientTimeout(sock_connect=0.2))
        client.connector.clear_dns_cache()  # type: ignore[union-attr]
        with pytest.raises(AddressRefused):
            await client.get(f"http://docs.example:{port}/")


async def test_an_allowed_name_leads_anywhere_and_a_redirect_from_it_does_not(port: int) -> None:
    async with session(Allowed(["docs.example"]), ["127.0.0.1"]) as client:
        async with client.get(f"http://docs.example:{port}/") as response:
            assert await response.text() == "internal"
        with pytest.raises(AddressRefused):
            await client.get(f"http://docs.example:{port}/away")
        with pytest.raises(AddressRefused):
            await client.get(f"http://other.example:{port}/")


async def test_an_allowed_network_is_reached_by_its_addresses(port: int) -> None:
    async with session(Allowed(["127.0.0.0/8"])) as client, client.get(f"http://127.0.0.1:{port}/") as response:
        assert await response.text() == "internal"


async def test_a_proxy_of_the_environment_is_not_used(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    async with session(Allowed(), ["127.0.0.1"]) as client:
        with pytest.raises(AddressRefused):
            await client.get("http://docs.example/")


async def test_what_a_socket_is_connected_to_is_looked_at_once_more() -> None:
    async with session(Allowed()) as client:
        made = client.connector._socket  # type: ignore[union-attr]
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:10.0.0.1")):
            with pytest.raises(PermissionError):
                made((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 80)))
        made((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 80))).close()
