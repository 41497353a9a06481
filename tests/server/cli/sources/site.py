"""A small website on a real socket, whose pages a test changes as it goes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Page:
    """etag: with it an If-None-Match of the same is answered 304; so is an If-Modified-Since of the Last-Modified."""

    body: bytes | str = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""


@dataclass(slots=True)
class Site:
    """seen: "PATH STATUS" of every request; headers: of the last request for each path."""

    port: int = 0
    pages: dict[str, Page | Answer] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    headers: dict[str, CIMultiDict[str]] = field(default_factory=dict)
    most_at_once: Counter[str] = field(default_factory=Counter)
    _now: int = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.headers[request.path_qs] = CIMultiDict(request.headers)
        self._now += 1
        self.most_at_once["all"] = max(self.most_at_once["all"], self._now)
        try:
            response = await self._answer(request)
        finally:
            self._now -= 1
        self.seen.append(f"{request.path_qs} {response.status}")
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        page = self.pages.get(request.path_qs)
        if page is None:
            return web.Response(status=404)
        if not isinstance(page, Page):
            return await page(request)
        headers = dict(page.headers) | ({"ETag": page.etag} if page.etag else {})
        since, date = request.headers.get("If-Modified-Since"), headers.get("Last-Modified")
        tag = request.headers.get("If-None-Match")
        if (page.etag and tag == page.etag) or (not tag and date and since == date):
            return web.Response(status=304, headers=headers)
        body = page.body.encode() if isinstance(page.body, str) else page.body
        return web.Response(status=page.status, body=body, headers=headers)


def html(title: str, text: str, **fields: str) -> Page:
    body = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
    return Page(
        body,
        headers={"Content-Type": "text/html; charset=utf-8"} | {k: v for k, v in fields.items() if k != "etag"},
        etag=fields.get("etag", ""),
    )


def endless(piece: bytes, pause: float = 0.0, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={name.replace("_", "-"): value for name, value in headers.items()})
        await response.prepare(request)
        try:
            while True:
                await response.write(piece)
                await asyncio.sleep(pause)
        except (ConnectionError, asyncio.CancelledError):
            return response

    return answer


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    made, app = Site(), web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()
