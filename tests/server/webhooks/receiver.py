"""Who receives webhooks: over a real socket, checking every signature, answering as it is told."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOLERANCE = 300.0  # seconds, as the specification's libraries have it
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Received:
    id: str
    type: str
    data: dict[str, Any]
    signatures: list[str]
    host: str


@dataclass(slots=True)
class Receiver:
    """url: of this machine. secret: that one signature of each request must be by; None: it is not known yet. answer:
    what it does after it has noted a request.
    """

    url: str = ""
    secret: str | None = None
    received: list[Received] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    answer: Answer | None = None

    def of(self, type: str) -> list[Received]:
        return [each for each in self.received if each.type == type]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        payload, headers = await request.read(), request.headers
        told = json.loads(payload)
        signatures = headers["webhook-signature"].split(" ")
        stamp, message = headers["webhook-timestamp"], headers["webhook-id"]
        if self.secret is not None and expected(self.secret, message, stamp, payload) not in signatures:
            self.unsigned.append(message)
        if abs(time.time() - int(stamp)) > TOLERANCE or headers["content-type"] != "application/json":
            self.unsigned.append(message)
        self.received.append(Received(message, told["type"], told["data"], signatures, headers["host"]))
        return web.Response(status=204) if self.answer is None else await self.answer(request)


def expected(secret: str, message: str, stamp: str, payload: bytes) -> str:
    """By the words of the specification."""
    key = base64.b64decode(secret[len("whsec_") :])
    content = message + "." + stamp + "." + payload.decode()
    return "v1," + base64.b64encode(hmac.new(key, content.encode(), hashlib.sha256).digest()).decode()


@asynccontextmanager
async def receiver(port: int = 0, answer: Answer | None = None) -> AsyncIterator[Receiver]:
    made = Receiver(answer=answer)
    app = web.Application()
    app.router.add_post("/{name:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    assert runner.addresses
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield made
        assert made.unsigned == []
    finally:
        await runner.cleanup()


def status(code: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


async def never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def endless(request: web.Request) -> web.StreamResponse:
    """200, and then as many bytes as are taken."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)
