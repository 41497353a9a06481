"""The two ways to an engine: a process that this server starts, or a URL where someone else runs one."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from models.engine import Engine, EngineState, Pace, Status
from models.engine_process import EngineProcess, EngineSpec, launch
from models.errors import ModelError, Unavailable
from models.openai_client import OpenAIClient, Timeouts
from models.token_counting import Dialect

__all__ = ["ConnectedEngine", "Engine", "EngineSpec", "EngineState", "Pace", "ProcessEngine", "Status"]

_OWNERS: Mapping[str, Dialect] = {"vllm": "vllm", "llamacpp": "llama.cpp"}


class ProcessEngine(Engine):
    """Starts the process of `spec`, starts it again when it ends or hangs, ends it with the server."""

    def __init__(self, spec: EngineSpec, *, pace: Pace | None = None, timeouts: Timeouts | None = None) -> None:
        client = OpenAIClient(
            spec.url or "",
            spec.model,
            spec.api_key,
            context_tokens=spec.context_tokens,
            languages=spec.languages,
            traits=spec.traits,
            capacity=spec.capacity,
            check=self.check,
            timeouts=timeouts,
        )
        super().__init__(client, pace or Pace())
        self.spec = spec
        self._process: EngineProcess | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def progress(self) -> str | None:
        return self._process.progress if self._process and self.status in ("starting", "restarting") else None

    async def _watch(self) -> None:
        failures = 0
        while True:
            begun = self.pace.clock()
            try:
                async with launch(self.spec) as process:
                    self._process = process
                    await self._serve(process)
                    begun = self.pace.clock()
                    reason = await self._until_it_ends(process)
            except ModelError as error:
                reason = str(error)
            self._process = None
            failures = 1 if self.pace.clock() - begun > self.pace.steady else failures + 1
            self.restarts += 1
            self.move("restarting", reason)
            await self.pace.sleep(self.pace.delay(failures))

    async def _serve(self, process: EngineProcess) -> None:
        """Raises Unavailable where the process ends, or does not serve within start_seconds."""
        try:
            async with asyncio.timeout(self.spec.start_seconds):
                root = None if self.spec.url else await process.read_url()
                self.generator.base_url = self.spec.url or f"{root}/v1"
                while not await self._healthy():
                    if process.process.returncode is not None:
                        raise Unavailable(await process.exit())
                    await asyncio.sleep(self.pace.poll)
        except TimeoutError:
            raise Unavailable(f"the engine did not serve within {self.spec.start_seconds:g} s") from None
        self.known_url = self.generator.base_url
        self.move("ready")

    async def _until_it_ends(self, process: EngineProcess) -> str:
        """The reason why the engine must be started again."""
        ended = asyncio.create_task(process.exit())
        try:
            misses = 0
            while misses < self.pace.misses:
                await asyncio.wait([ended], timeout=self.pace.watch)
                if ended.done():
                    return ended.result()
                misses = 0 if await self._healthy() else misses + 1
            return f"the engine missed {misses} health checks in a row"
        finally:
            ended.cancel()

    async def _healthy(self) -> bool:
        status, _ = await self.get(self.generator.root + self.spec.health)
        return status == 200


class ConnectedEngine(Engine):
    """An engine that someone else runs. Its first model is used where none is named."""

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        languages: frozenset[str] = frozenset(),
        pace: Pace | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        base_url = url.rstrip("/") + ("" if urlsplit(url).path.strip("/") else "/v1")
        client = OpenAIClient(
            base_url, model or "engine", api_key, languages=languages, check=self.check, timeouts=timeouts
        )
        super().__init__(client, pace or Pace())
        self._model = model
        self.known_url = base_url

    async def _watch(self) -> None:
        failures = 0
        while True:
            try:
                self._learn(await self._models())
                failures = 0
                self.move("ready")
            except Unavailable as error:
                failures += 1
                if failures == 1 and self.status == "ready":
                    self.restarts += 1
                self.move("down", str(error))
            wait = self.pace.delay(failures) if failures else self.pace.watch
            await self.pace.sleep(min(wait, self.pace.watch))

    async def _models(self) -> list[dict[str, Any]]:
        status, body = await self.get(f"{self.generator.base_url}/models")
        reason = f"HTTP {status}" if status else body
        if status == 200:
            with contextlib.suppress(orjson.JSONDecodeError, TypeError, KeyError):
                return [card for card in orjson.loads(body)["data"] if card.get("id")]
            reason = "its /models is not a list of models"
        raise Unavailable(f"no OpenAI-compatible engine answers at {self.generator.base_url}: {reason}")

    def _learn(self, cards: list[dict[str, Any]]) -> None:
        """The model's id, context and kind of server, from its card. Raises Unavailable without such a model."""
        card = next((card for card in cards if self._model in (None, card.get("id"))), None)
        if card is None:
            names = ", ".join(str(card.get("id")) for card in cards) or "none"
            raise Unavailable(f"the engine at {self.generator.base_url} has no model {self._model}; it has: {names}")
        context = card.get("max_model_len") or (card.get("meta") or {}).get("n_ctx")
        self.generator.learn(str(card["id"]), context, _OWNERS.get(str(card.get("owned_by")), "openai"))
