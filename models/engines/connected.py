"""An engine at a URL, where someone else runs it."""

import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from models.engines.engine import Engine, Pace
from models.errors import Unavailable
from models.wire.openai_client import OpenAIClient, Timeouts
from models.wire.token_counting import Dialect

_OWNERS: Mapping[str, Dialect] = {"vllm": "vllm", "llamacpp": "llama.cpp"}


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
