"""What the checks of scripts/verify_streaming.py look at: one question, asked several times, streamed and not."""

import json
import time
from dataclasses import dataclass, field

import aiohttp

from streaming import wire
from streaming.timing import Json, NotOpenAI, Stream, read_stream, text_of

# What an engine may refuse to be told, and what it wants instead.
OPTIONAL: dict[str, str | None] = {"max_tokens": "max_completion_tokens", "seed": None, "temperature": None}
LIMITS = ("max_tokens", "max_completion_tokens")
MORE = 2


@dataclass
class Endpoint:
    """url ends in /v1. body: of every request; parameters that the engine refuses are dropped on the way."""

    http: aiohttp.ClientSession
    url: str
    body: Json = field(default_factory=dict)

    @property
    def chat(self) -> str:
        return f"{self.url}/chat/completions"

    async def first_model(self) -> str:
        """The engine's own, where the list says which that is: it answers without documents."""
        async with self.http.get(f"{self.url}/models") as response:
            if response.status != 200:
                raise NotOpenAI(f"HTTP {response.status} from /models: {(await response.text())[:200]}")
            cards = (await response.json())["data"]
        return str(next((card for card in cards if card.get("owned_by") == "engine"), cards[0])["id"])

    async def whole(self, **more: object) -> str:
        """The text of an answer that is not streamed."""
        async with self.http.post(self.chat, json=self.body | more) as response:
            told = await response.text()
        if response.status == 400 and (
            refused := next((name for name in OPTIONAL if name in self.body | more and name in told), "")
        ):
            self._drop(refused)
            more.pop(refused, None)
            return await self.whole(**more)
        if response.status != 200:
            raise NotOpenAI(f"HTTP {response.status}: {told[:200]}")
        return text_of(json.loads(told)["choices"][0]["message"])

    async def stream(self, **more: object) -> Stream:
        return await read_stream(self.http, self.chat, self.body | more)

    def _drop(self, name: str) -> None:
        value = self.body.pop(name, None)
        if (instead := OPTIONAL[name]) and value is not None:
            self.body[instead] = value


@dataclass
class Seen:
    """What the checks look at. counted: the stream that was asked for usage. first_token: seconds of one token, not
    streamed; 0 where the engine cannot be held to one.
    """

    wholes: list[str]
    plain: Stream
    counted: Stream
    first_token: float

    @property
    def streams(self) -> list[Stream]:
        return [self.plain, self.counted]

    @property
    def smoother(self) -> Stream:
        """An engine may stall once; what buffers does so every time."""
        return min(self.streams, key=lambda stream: (stream.buffered, wire.last_tenth(stream)))


async def see(endpoint: Endpoint) -> Seen:
    wholes = [await endpoint.whole() for _ in range(MORE)]
    first_token = await _first_token(endpoint, wholes[0])
    plain = await endpoint.stream()
    counted = await endpoint.stream(stream_options={"include_usage": True})
    if {plain.text, counted.text} != set(wholes):
        wholes += [await endpoint.whole() for _ in range(MORE)]
    return Seen(wholes, plain, counted, first_token)


async def _first_token(endpoint: Endpoint, whole: str) -> float:
    limit = next(name for name in LIMITS if name in endpoint.body)
    begun = time.perf_counter()
    text = await endpoint.whole(**{limit: 1})
    return time.perf_counter() - begun if len(text) < len(whole) else 0.0
