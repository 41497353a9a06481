"""A model hub on a real socket: lists with hashes, files behind a redirect to another host, faults on demand."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

COMMIT = "a" * 40
# As in the addresses that storage signs: another spelling of the same characters is refused.
SIGNED = "sign=%27a%2Bb%7E%22%3B+c%2A&x=1~2"
Fault = Callable[[web.Request, bytes], bytes | None]


@dataclass
class FakeHub:
    """files: of every model. large: the names that have a sha256; the others have git's blob id.

    cut: name -> bytes after which the connection is dropped, once for each entry of the list.
    hold: name -> bytes after which nothing more is sent. rotten: names whose bytes are wrong, that many times.
    busy: number of 503 to answer first. deaf: Range is ignored. token: what the hub asks for.
    """

    files: dict[str, bytes]
    large: set[str] = field(default_factory=set)
    cut: dict[str, list[int]] = field(default_factory=dict)
    hold: dict[str, int] = field(default_factory=dict)
    rotten: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    deaf: bool = False
    token: str | None = None
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    keys_at_the_other_host: list[str] = field(default_factory=list)

    def ranges(self, name: str) -> list[str]:
        """The Range header of each request for that file, "" for none."""
        return [header for asked, header in self.asked if asked == name]

    async def listed(self, request: web.Request) -> web.Response:
        if self.busy:
            self.busy -= 1
            raise web.HTTPServiceUnavailable
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise web.HTTPUnauthorized
        if request.match_info["name"] == "nothing":
            raise web.HTTPNotFound
        siblings = [self._sibling(name, data) for name, data in self.files.items()]
        return web.json_response({"id": request.match_info["name"], "sha": COMMIT, "siblings": siblings})

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        sibling = {"rfilename": name, "size": len(data), "blobId": blob}
        if name in self.large:
            sibling["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return sibling

    async def resolved(self, request: web.Request) -> web.Response:
        """To the same server under its other name, as a hub sends large files to its storage."""
        path = request.match_info["path"]
        address = self.url.replace("127.0.0.1", "localhost") + f"/storage/{path}?{SIGNED}"
        return web.Response(status=302, headers={"Location": address})

    async def stored(self, request: web.Request) -> web.StreamResponse:
        if request.raw_path.partition("?")[2] != SIGNED:
            raise web.HTTPForbidden
        name, header = request.match_info["path"], request.headers.get("Range", "")
        self.asked.append((name, header))
        self.keys_at_the_other_host.append(request.headers.get("Authorization", ""))
        data = self.files[name]
        if self.rotten[name] > 0:
            self.rotten[name] -= 1
            data = bytes(len(data))
        start = int(header.removeprefix("bytes=").rstrip("-")) if header and not self.deaf else 0
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(data) - start
        await response.prepare(request)
        limit = self.cut[name].pop(0) if self.cut.get(name) else self.hold.get(name, len(data))
        await response.write(data[start:limit])
        if limit < len(data):
            await self._broken(request, name)
        return response

    async def _broken(self, request: web.Request, name: str) -> None:
        if name in self.hold:
            await asyncio.Event().wait()
        assert request.transport is not None
        request.transport.close()


@asynccontextmanager
async def serving(hub: FakeHub) -> AsyncIterator[FakeHub]:
    app = web.Application()
    app.router.add_get("/api/models/{owner}/{name}/revision/{revision}", hub.listed)
    app.router.add_get("/{owner}/{name}/resolve/{revision}/{path:.+}", hub.resolved)
    app.router.add_get("/storage/{path:.+}", hub.stored)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield hub
    finally:
        await runner.cleanup()
