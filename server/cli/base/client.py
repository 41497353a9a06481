"""The HTTP API as the commands use it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import aiohttp

from models.wire.sse import SseParser
from retrieval.characters import same
from server.cli.base.terminal import CommandError, ItemFailed

Json = dict[str, Any]
POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 1.0


class Refused(ItemFailed):
    """The server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(CommandError):
    """No answer, or it broke off: nothing is known of what the request did."""


class Client:
    def __init__(self, session: aiohttp.ClientSession, url: str, default_store: str) -> None:
        self._session, self.url, self.default_store = session, url, default_store

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, api_key: str | None, default_store: str) -> AsyncIterator[Self]:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            yield cls(session, url.rstrip("/").removesuffix("/v1"), default_store)

    async def stores(self) -> list[Json]:
        """The oldest first."""
        return await self._listed("/v1/vector_stores", {"limit": "100", "order": "asc"})

    async def find_store(self, name: str) -> str | None:
        """The id of the store with that id, else of the oldest with that name, as the server finds it."""
        stores = await self.stores()
        exact = (store["id"] for key in ("id", "name") for store in stores if store[key] == name)
        return next(exact, None) or next((s["id"] for s in stores if same(s["name"] or "") == same(name)), None)

    async def store_id(self, name: str) -> str:
        """As find_store. Raises CommandError where there is none."""
        if found := await self.find_store(name):
            return found
        names = ", ".join(store["name"] for store in await self.stores()) or "none yet; `ragpod ingest PATH` makes one"
        raise CommandError(f"no store {name!r} (there is: {names})")

    async def ensure_store(self, name: str) -> str:
        """As find_store; made where there is none. Of two made at the same instant both callers keep the older."""
        if found := await self.find_store(name):
            return found
        made = str((await self._json("POST", "/v1/vector_stores", json={"name": name}))["id"])
        oldest = await self.find_store(name) or made
        if made != oldest:
            await self._json("DELETE", f"/v1/vector_stores/{made}")
        return oldest

    async def upload(self, filename: str, content: bytes, media_type: str = "") -> Json:
        """The file object. Uploading alone indexes nothing. media_type: where it is known."""
        form = aiohttp.FormData(quote_fields=False)  # the name as it is, not percent-encoded
        form.add_field("purpose", "assistants")
        form.add_field("file", content, filename=filename, content_type=media_type or "application/octet-stream")
        return await self._json("POST", "/v1/files", data=form)

    async def files(self, store_id: str) -> dict[str, str]:
        """id -> name of every file that the store has, whatever its state."""
        found: dict[str, str] = {}
        query = {"limit": "100", "order": "asc"}
        while True:
            page = await self._json("GET", f"/v1/vector_stores/{store_id}/files", params=query)
            found |= {file["id"]: file["ragpod"]["filename"] for file in page["data"]}
            if not page.get("has_more"):
                return found
            query["after"] = page["last_id"]

    async def generations(self, store_id: str | None) -> list[Json]:
        """None: of every store."""
        query = {} if store_id is None else {"vector_store_id": store_id}
        found: list[Json] = (await self._json("GET", "/api/v1/generations", params=query))["data"]
        return found

    async def switch_generation(self, index_id: str, *, anyway: bool) -> str:
        """What came of it."""
        path = f"/api/v1/generations/{index_id}/switch"
        return str((await self._json("POST", path, json={"anyway": anyway}))["result"])

    async def drop_generation(self, index_id: str) -> None:
        await self._json("DELETE", f"/api/v1/generations/{index_id}")

    async def remove(self, store_id: str, file_id: str) -> None:
        """Out of the store, and off the disk where no other store has it. Of what is gone already, nothing."""
        with suppress(Refused):
            await self._json("DELETE", f"/v1/vector_stores/{store_id}/files/{file_id}")
        for store in await self.stores():
            if await self.attached(store["id"], file_id) is not None:
                return
        with suppress(Refused):
            await self._json("DELETE", f"/v1/files/{file_id}")

    async def attached(self, store_id: str, file_id: str) -> Json | None:
        """The file as the store has it; None where it has it not."""
        try:
            return await self._json("GET", f"/v1/vector_stores/{store_id}/files/{file_id}")
        except Refused as refusal:
            if refusal.status == 404:
                return None
            raise

    async def attached_all(self, store_id: str, status: str | None = None) -> list[Json]:
        """The files of a store, of that status alone where one is given; the oldest first."""
        query = {"limit": "100", "order": "asc"} | ({"filter": status} if status else {})
        return await self._listed(f"/v1/vector_stores/{store_id}/files", query)

    async def attach(
        self,
        store_id: str,
        file_id: str,
        attributes: Json | None = None,
        told: Callable[[Json], None] | None = None,
    ) -> Json:
        """Indexes a file in a store and waits until that is done: the store file, completed or failed.

        attributes: None leaves those that it has. told: is given the store file whenever it was looked at.
        """
        path = f"/v1/vector_stores/{store_id}/files"
        body = {"file_id": file_id} | ({"attributes": attributes} if attributes is not None else {})
        return await self._ended(path, await self._json("POST", path, json=body), told)

    async def retry(self, store_id: str, file_id: str) -> Json:
        """As attach, of one that has failed or been cancelled; any other is as it was."""
        path = f"/v1/vector_stores/{store_id}/files"
        return await self._ended(path, await self._json("POST", f"{path}/{file_id}/retry"))

    async def _ended(self, path: str, attached: Json, told: Callable[[Json], None] | None = None) -> Json:
        wait, file_id = POLL_SECONDS, attached["id"]
        while attached["status"] == "in_progress":
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, LONGEST_POLL_SECONDS)
            attached = await self._json("GET", f"{path}/{file_id}")
            if told:
                told(attached)
        return attached

    async def search(self, store_id: str, query: str, top_k: int) -> Json:
        body = {"query": query, "max_num_results": top_k, "ragpod": {"explain": True}}
        return await self._json("POST", f"/v1/vector_stores/{store_id}/search", json=body)

    async def ask(self, model: str, question: str) -> AsyncIterator[Json]:
        """The chunks of a streamed chat completion. Raises Refused also for an error in mid-stream."""
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": question}]}
        async with self._response("POST", "/v1/chat/completions", json=body) as response:
            events = SseParser()
            async for data in response.content.iter_any():
                for event in events.feed(data):
                    if event == b"[DONE]":
                        return
                    chunk = json.loads(event)
                    if "error" in chunk:
                        raise Refused(response.status, chunk["error"]["message"])
                    yield chunk
        raise Unreachable(f"{self.url}: the answer broke off")

    async def _listed(self, path: str, query: dict[str, str]) -> list[Json]:
        """Every page of it."""
        found: list[Json] = []
        while True:
            page = await self._json("GET", path, params=query)
            found += page["data"]
            if not page.get("has_more"):
                return found
            query = {**query, "after": page["last_id"]}

    async def _json(self, method: str, path: str, **request: Any) -> Json:
        async with self._response(method, path, **request) as response:
            answer: Json = await response.json()
            return answer

    @asynccontextmanager
    async def _response(self, method: str, path: str, **request: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.request(method, self.url + path, **request) as response:
                if response.status >= 400:
                    raise Refused(response.status, _message(response.status, await response.text()))
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{self.url}: {error or type(error).__name__}") from None


def _message(status: int, body: str) -> str:
    try:
        error: Mapping[str, Any] = json.loads(body)["error"]
        return f"{error['message']} (HTTP {status})"
    except (ValueError, KeyError, TypeError):
        return f"HTTP {status}: {body[:200].strip()}"
