"""A whole server over a real socket: real store, embedder and retriever on a tiny corpus, and a scripted engine."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from models.base import Embedder
from models.engines.process import ProcessEngine
from models.wire.sse import SseParser
from retrieval.passages.tokenize import Tokenizer
from server.access.keys import Keys
from server.app.build import Parts, open_parts
from server.app.run import serving
from server.settings.settings import Settings
from tests.conftest import Llama
from tests.stub_engine import StubEngine
from tests.until import PATIENCE

KOREAN = {
    "delivery.md": "# 배송\n\n배송은 결제 후 이틀 안에 도착합니다. 제주도는 나흘이 걸립니다.",
    "returns.md": "# 반품\n\n반품은 물건을 받은 날부터 7일 안에 신청할 수 있습니다. 반품 배송비는 3000원입니다.",
    "login.md": "# 로그인\n\n비밀번호는 설정 화면의 보안 메뉴에서 바꿀 수 있습니다.",
}
ENGLISH = {
    "lambda.md": "# Lambdas\n\nA lambda expression creates an anonymous function in a single expression.",
    "with.md": "# The with statement\n\nThe with statement closes a file when its block ends, also after an error.",
}
QUESTION = "배송은 며칠 걸리나요?"
OFF_TOPIC = "asdf qwer zxcv uiop hjkl"
UNHURRIED = {"rerank_seconds": PATIENCE}  # on a busy machine both stages may take longer than the default budget
# and beside a real engine that has taken both cores a search may too
PATIENT = {"search_seconds": PATIENCE, "first_token_seconds": PATIENCE, "queue_seconds": PATIENCE}
RESERVE_BYTES = 1 << 20  # of each of hundreds of data folders
KEPT_ALIVE_SECONDS = 2.0  # below the server's 5: no request goes out on a connection that is being closed


class Ahead:
    """The store's clock: that of the machine, and some seconds more."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass(slots=True)
class House:
    url: str
    parts: Parts
    stub: StubEngine
    http: aiohttp.ClientSession
    openai: AsyncOpenAI
    clock: Ahead

    async def stream(self, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """The JSON of every event of a stream, [DONE] left out (and required to be last where there is one)."""
        async with self.http.post(self.url + path, json=body) as response:
            assert response.status == 200, await response.text()
            events = SseParser().feed(await response.read())
        assert b"[DONE]" not in events[:-1]
        return [orjson.loads(event) for event in events if event != b"[DONE]"]

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        async with self.http.post(self.url + path, json=body) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.http.get(self.url + path) as response:
            return response.status, await response.json()

    async def ingest(self, name: str, documents: dict[str, str]) -> str:
        """The id of the store of that name, which then holds `documents`."""
        known = [store async for store in self.openai.vector_stores.list() if store.name == name]
        store = known[0] if known else await self.openai.vector_stores.create(name=name)
        for filename, text in documents.items():
            await self.openai.vector_stores.files.upload_and_poll(
                vector_store_id=store.id, file=(filename, text.encode()), poll_interval_ms=20
            )
        return store.id


def _plain_http() -> DefaultAsyncHttpxClient:
    """The SDK's own, but that it does not read the system's certificates: 24 ms a house."""
    return DefaultAsyncHttpxClient(verify=False)


@asynccontextmanager
async def house(
    data_dir: Path,
    embedder: Embedder | None,
    tokenizer: Tokenizer,
    *,
    keys: dict[str, str] | None = None,
    real: Llama | ProcessEngine | None = None,
    other_embedder: Callable[[str], Embedder] | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """keys: API key -> owner; the client uses the first one. embedder: None takes the profile's. real: instead of the
    scripted engine.

    Any passage is evidence here, whatever its score.
    """
    clock = Ahead()
    async with StubEngine() as stub:
        engine = {"url": stub.url, "model": stub.model}
        if isinstance(real, Llama):
            engine = {"url": real.url, "api_key": real.api_key, "model": real.model}
        given = {"engine": engine, "port": 0, "data_dir": data_dir}
        given["retrieval"] = {"min_score": 0.0, **UNHURRIED}
        settings["store"] = {"reserve_bytes": RESERVE_BYTES} | settings.get("store", {})
        settings.setdefault(
            "parsing", {"workers": 0}
        )  # a child costs .4 s of CPU; tests/server/app/test_ingestor.py has one
        settings["limits"] = PATIENT | settings.get("limits", {})
        async with open_parts(
            Settings.load(**given | settings),
            embedder=embedder,
            other_embedder=other_embedder,
            tokenizer=tokenizer,
            engine=real if isinstance(real, ProcessEngine) else None,  # opened elsewhere, for more than one house
            keys=Keys(keys or {}),
            clock=clock,
        ) as parts:
            await parts.generators.engine.wait_ready(PATIENCE)
            async with serving(parts) as url:
                key = next(iter(keys or {}), "none")
                async with (
                    aiohttp.ClientSession(
                        headers={"Authorization": f"Bearer {key}"},
                        connector=aiohttp.TCPConnector(keepalive_timeout=KEPT_ALIVE_SECONDS),
                    ) as http,
                    AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=_plain_http()) as client,
                ):
                    yield House(url, parts, stub, http, client, clock)
