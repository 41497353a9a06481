"""scripts/smoke_test.py against a real server with a real llama.cpp: directly, and through proxies it must catch."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.server.cli.process import environment, server

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "smoke_test.py"
KEY = "a-key-of-the-pod"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("smoke") / "data"
    with server(data, RAGPOD_API_KEYS=KEY, RAGPOD_PROFILE="embedded") as running:
        yield running.url


@dataclass
class Proxy:
    """hold: bytes of an answer that are kept until there are so many, None for all of it. late: seconds before the
    answer to a POST. deaf: the upstream is read on when the client has left. strip: a header that is taken away.
    """

    upstream: str
    url: str = ""
    hold: int | None = 1
    late: float = 0.0
    deaf: bool = False
    strip: str = ""

    async def relay(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as http,
            http.request(
                request.method, self.upstream + request.path_qs, headers=headers, data=await request.read()
            ) as answer,
        ):
            dropped = {"transfer-encoding", "content-length", self.strip}
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in dropped}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await asyncio.sleep(self.late if request.method == "POST" else 0)
            await response.prepare(request)
            held, gone = b"", False
            async for data in answer.content.iter_any():
                held += data
                if self.hold is not None and len(held) >= self.hold and not gone:
                    gone = await self._sent(response, held)
                    held = b""
            await self._sent(response, held)
            return response

    async def _sent(self, response: web.StreamResponse, data: bytes) -> bool:
        """Whether the client has left; a deaf proxy goes on reading."""
        try:
            await response.write(data)
        except ConnectionError:
            if not self.deaf:
                raise
            return True
        return False


@asynccontextmanager
async def proxied(upstream: str, **options: Any) -> AsyncIterator[str]:
    proxy = Proxy(upstream, **options)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.relay)
    runner = web.AppRunner(app, handler_cancellation=not proxy.deaf, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def asked(url: str, *options: str, key: str = KEY) -> tuple[int, dict[str, Any], str]:
    """Exit status, the JSON of the last line, all lines."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), url, *options, env=environment(RAGPOD_API_KEY=key), stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    assert out, err.decode()
    lines = out.decode()
    return process.returncode, json.loads(lines.splitlines()[-1]), lines


async def test_a_server_that_streams_passes_every_check(served: str) -> None:
    status, told, lines = await asked(served, "--wait", "60")
    assert (status, told["failed"]) == (0, []), lines
    assert {name: check["outcome"] for name, check in told["checks"].items()} == dict.fromkeys(told["checks"], "ok")
    assert len(told["checks"]) == 10
    assert told["checks"]["streaming"]["deltas"] > 50
    assert told["checks"]["streaming"]["ttft_ms"] > 0
    assert KEY not in lines


async def test_a_proxy_that_buffers_is_caught(served: str) -> None:
    for hold in (None, 8192):
        async with proxied(served, hold=hold) as url:
            status, told, lines = await asked(url, "--only", "streaming")
        assert (status, told["failed"]) == (1, ["streaming"]), lines
        assert "something on the way buffers" in told["checks"]["streaming"]["detail"]


async def test_a_header_lost_on_the_way_is_only_noted(served: str) -> None:
    async with proxied(served, strip="x-accel-buffering") as url:
        status, told, lines = await asked(url, "--only", "streaming")
    assert (status, told["checks"]["streaming"]["outcome"]) == (0, "warn"), lines
    assert "X-Accel-Buffering" in told["checks"]["streaming"]["detail"]


async def test_a_proxy_that_keeps_an_abandoned_answer_going_or_is_silent_is_caught(served: str) -> None:
    async with proxied(served, deaf=True, late=1.5) as url:
        status, told, lines = await asked(url, "--only", "leaving", "silence", "--freed", "1.5", "--silence", "0.2")
    assert (status, told["failed"]) == (1, ["leaving", "silence"]), lines


async def test_a_wrong_key_and_a_dead_address_end_at_once(served: str) -> None:
    status, told, _ = await asked(served, key="another")
    assert (status, told["failed"], "401" in told["checks"]["models"]["detail"]) == (1, ["models"], True)
    status, told, _ = await asked("http://127.0.0.1:9")
    assert (status, told["failed"], list(told["checks"])) == (2, ["health"], ["health"])
