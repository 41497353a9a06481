"""Streams answers from any OpenAI-compatible engine: vLLM, llama.cpp, a URL.

One aiohttp session for each engine (httpx cost 3-10 times more a chunk). Leaving a stream's context closes its socket,
which is how the engine learns that it may stop.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self

import aiohttp
import orjson

from models.base import Message, Prompt, Sampling, TokenDelta
from models.errors import Overloaded, Timeout, Unavailable
from models.wire.engine_errors import refusal
from models.wire.engine_traits import EngineTraits
from models.wire.openai_wire import AnswerReader
from models.wire.several import several
from models.wire.token_counting import Dialect, count_tokens
from models.wire.whole_answer import Reply, as_watched_stream, whole_answer, without_reports

log = logging.getLogger("ragpod.engine")

# What an engine says of its answer's body: nothing hop-by-hop, no length, as the bytes are relayed as they come.
_RELAYED_HEADERS = ("Content-Type", "Retry-After", "X-Request-Id")
# Below the 5 s of uvicorn and cpp-httplib: no request goes out on a connection that the engine is closing.
_KEEP_ALIVE_SECONDS = 4.0
_LAST_BYTES_SECONDS = 0.1
_REFUSAL_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. first: from the request to its first token (or first byte, raw). idle: between two reads after that."""

    connect: float = 5.0
    first: float = 120.0
    idle: float = 60.0


def _unwatched() -> None:
    return


class OpenAIClient:
    """A Generator over {base_url}/chat/completions; base_url ends in /v1. Open it before use, close it after.

    capacity: choices written at once; more get Overloaded; None: no limit.
    check: raises Unavailable while the engine is known to be down; called before anything is sent.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        api_key: str | None = None,
        *,
        context_tokens: int = 4096,
        languages: frozenset[str] = frozenset(),
        traits: EngineTraits | None = None,
        capacity: int | None = None,
        check: Callable[[], None] = _unwatched,
        timeouts: Timeouts | None = None,
        connections: int = 1024,
    ) -> None:
        self.name = model
        self.context_tokens = context_tokens
        self.knows_context = True  # False: a connected engine does not say; context_tokens is a guess
        self.languages = languages
        self.base_url = base_url.rstrip("/")
        self.traits = traits or EngineTraits()
        self._check = check
        self._capacity, self._taken = capacity, 0
        self._timeouts = timeouts or Timeouts()
        self._connections = connections
        self.headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._session: aiohttp.ClientSession | None = None

    @property
    def root(self) -> str:
        """The engine's URL without /v1, where its own routes are."""
        return self.base_url.removesuffix("/v1")

    def learn(self, model: str, context_tokens: int | None, dialect: Dialect) -> None:
        """What a connected engine says of itself."""
        self.name, self.traits = model, replace(self.traits, dialect=dialect)
        self.context_tokens = context_tokens or self.context_tokens
        self.knows_context = context_tokens is not None

    async def open(self) -> None:
        connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEP_ALIVE_SECONDS)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect)
        headers = {"Content-Type": "application/json", **self.headers}
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def stream(self, prompt: Prompt, sampling: Sampling) -> AsyncIterator[AsyncIterator[TokenDelta]]:
        """See models.base.Generator."""
        if sampling.n > 1 and not self.traits.several:
            async with several(self._stream, prompt, sampling) as deltas:
                yield deltas
        else:
            async with self._stream(prompt, sampling) as deltas:
                yield deltas

    @asynccontextmanager
    async def _stream(self, prompt: Prompt, sampling: Sampling) -> AsyncIterator[AsyncIterator[TokenDelta]]:
        deadline = asyncio.get_running_loop().time() + self._timeouts.first
        body = self.traits.request(self.name, prompt, sampling)
        with self._place(sampling.n):
            response = await self._post("/chat/completions", body, deadline)
            deltas = self._deltas(response, self.traits.reader(self.name, sampling), deadline)
            try:
                if response.status != 200:
                    raise refusal(self.name, response.status, await self._start_of(response))
                yield deltas
            finally:
                response.close()
                await deltas.aclose()

    @asynccontextmanager
    async def proxy(self, path: str, body: bytes) -> AsyncIterator[Reply]:
        """The engine's own answer to `body` (JSON), whatever its status; leaving closes the socket.

        path: under the base URL ("/chat/completions"). Raises Unavailable, Overloaded and Timeout: on entry or while
        iterating. The bytes pass unchanged, but for llama.cpp (see whole_answer).
        """
        request = orjson.loads(body)
        deadline = asyncio.get_running_loop().time() + self._timeouts.first
        watched = self._writes_to_watch(path)
        with self._place(request.get("n") or 1):
            response = await self._post(path, as_watched_stream(request) if watched else body, deadline)
            chunks = self._chunks(response, deadline)
            headers = {key: response.headers[key] for key in _RELAYED_HEADERS if key in response.headers}
            try:
                if watched and not request.get("stream") and response.status == 200:
                    yield await whole_answer(self.name, chunks)
                else:
                    silenced = watched and not request.get("return_progress")
                    yield Reply(response.status, headers, without_reports(chunks) if silenced else chunks)
            finally:
                response.close()
                await chunks.aclose()

    def _writes_to_watch(self, path: str) -> bool:
        return self.traits.dialect == "llama.cpp" and path == "/chat/completions"

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        return await count_tokens(self._session, self.traits.dialect, self.root, self.name, messages)

    @contextlib.contextmanager
    def _place(self, choices: int = 1) -> Iterator[None]:
        """An engine's own refusal may come under HTTP 200 (vLLM), too late for a status: so it is not let to refuse."""
        if self._capacity is not None and self._taken + choices > self._capacity:
            raise Overloaded(f"the engine {self.name} has no place left")
        self._taken += choices
        try:
            yield
        finally:
            self._taken -= choices

    async def _post(self, path: str, body: bytes, deadline: float) -> aiohttp.ClientResponse:
        self._check()
        if self._session is None:
            raise Unavailable(f"the client of the engine {self.name} is not open")
        with self._failures():
            async with asyncio.timeout_at(deadline):
                url = self.base_url + path
                return await self._session.post(url, data=body, headers=self._connection(), allow_redirects=False)

    def _connection(self) -> Mapping[str, str]:
        """llama.cpp's server closes a kept connection without a word, and the next request would meet the closing."""
        return {"Connection": "close"} if self.traits.dialect == "llama.cpp" else {}

    async def _deltas(
        self, response: aiohttp.ClientResponse, reader: AnswerReader, deadline: float
    ) -> AsyncGenerator[TokenDelta, None]:
        loop = asyncio.get_running_loop()
        while not reader.done:
            limit = loop.time() + self._timeouts.idle if reader.started else deadline
            chunk = await self._read(response.content, limit)
            if not chunk:
                break
            for delta in reader.feed(chunk):
                yield delta
        last = reader.last()
        await _read_to_end(response.content)
        for delta in last:
            yield delta

    async def _chunks(self, response: aiohttp.ClientResponse, deadline: float) -> AsyncGenerator[bytes, None]:
        while chunk := await self._read(response.content, deadline):
            yield chunk
            deadline = asyncio.get_running_loop().time() + self._timeouts.idle

    async def _read(self, content: aiohttp.StreamReader, deadline: float) -> bytes:
        """What has arrived, b"" at the end. The clock runs only here: a slow consumer never times out."""
        with self._failures():
            async with asyncio.timeout_at(deadline):
                return await content.readany()

    async def _start_of(self, response: aiohttp.ClientResponse) -> bytes:
        with self._failures():
            async with asyncio.timeout(self._timeouts.idle):
                return await response.content.read(_REFUSAL_BYTES)

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """aiohttp's and the clock's exceptions as the room's own."""
        try:
            yield
        except TimeoutError as error:
            raise Timeout(f"the engine {self.name} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            # The reason names the engine's address, which is not the caller's business.
            log.warning("engine %s: %s", self.name, str(error) or type(error).__name__)
            raise Unavailable(f"the engine {self.name} cannot be reached") from error


async def _read_to_end(content: aiohttp.StreamReader) -> None:
    """A connection whose response was read to its end is used again; the end comes a few bytes after [DONE]."""
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(_LAST_BYTES_SECONDS):
            while await content.readany():
                pass
