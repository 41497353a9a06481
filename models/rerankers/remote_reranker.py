"""A reranker that someone else serves at POST /v1/rerank, in Jina's and Cohere's form.

vLLM serves cross-encoders there as they are. A Qwen3-Reranker needs its prompt around query and text, and vLLM puts
none around them by itself (0.32 warns, and scores badly): docs/reranker.md has its command.

Only the fields that all such servers know are sent: not vLLM's `use_activation: false`, which others refuse. Scores are
probabilities then, and logits are taken back from them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import numpy as np
import orjson

from models.base import FloatArray
from models.embedders.tokens import readable
from models.errors import BadRequest, Overloaded, Timeout, Unavailable
from models.rerankers.calibration import PUBLISHED, Calibration, logits

_BUSY = (429, 503)
# The request itself is refused: a text is too long for the model, most often.
_REFUSED = (400, 413, 422)


class RemoteReranker:
    """url: the server's root or its base, such as one ending in /v1. model: None takes the first that it lists."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        model: str | None = None,
        timeout_seconds: float = 10.0,
        calibration: Calibration = PUBLISHED,
    ) -> None:
        self.base_url = url.rstrip("/") + ("" if urlsplit(url).path.strip("/") else "/v1")
        self.name = model or "reranker"
        self._model = model
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout_seconds = timeout_seconds
        self._calibration = calibration
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def score(self, query: str, texts: Sequence[str]) -> FloatArray:
        """As models.base.Reranker says, and BadRequest where the server takes a text for too long: it cuts none."""
        if not texts:
            return np.zeros(0, np.float32)
        if self._model is None:
            self.name = self._model = await self._first_model()
        body = {"model": self._model, "query": readable(query), "documents": [readable(text) for text in texts]}
        return logits(_scores(await self._ask("POST", "/rerank", body), len(texts)))

    def probability(self, logits: FloatArray) -> FloatArray:
        return self._calibration.probability(logits)

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def _first_model(self) -> str:
        listed = await self._ask("GET", "/models")
        try:
            return str(listed["data"][0]["id"])
        except (KeyError, IndexError, TypeError):
            raise Unavailable("the reranker lists no model") from None

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer's JSON. Messages leave the address out: they reach API callers."""
        status, raw = await self._exchange(method, path, body)
        if status in _BUSY:
            raise Overloaded(f"the reranker is busy (HTTP {status})")
        if status != 200:
            failure = BadRequest if status in _REFUSED else Unavailable
            raise failure(f"the reranker answered HTTP {status}: {raw[:200].decode(errors='replace')}")
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise Unavailable("the reranker answered something that is not JSON") from None

    async def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        if self._closed:
            raise Unavailable("the reranker is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(headers=self._headers, cookie_jar=aiohttp.DummyCookieJar())
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        url = self.base_url + path
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._session.request(method, url, data=data, headers=headers, allow_redirects=False) as response,
            ):
                return response.status, await response.read()
        except TimeoutError:
            raise Timeout(f"the reranker did not answer within {self._timeout_seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"the reranker cannot be reached ({type(error).__name__})") from error


def _scores(answer: Any, count: int) -> FloatArray:
    """(count,) float32 in the order of the documents. Raises Unavailable, naming what is wrong with the answer."""
    scores = np.full(count, np.nan, np.float32)
    try:
        for result in answer["results"]:
            index = result["index"]
            if not isinstance(index, int) or not 0 <= index < count:
                raise Unavailable(f"the reranker answered with index {index!r} for {count} documents")
            scores[index] = float(result["relevance_score"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"the reranker's answer is not a list of index and relevance_score: {error!r}") from None
    if np.isnan(scores).any():
        raise Unavailable(f"the reranker left out {int(np.isnan(scores).sum())} of {count} documents")
    if scores.min() < 0 or scores.max() > 1:
        raise Unavailable("the reranker's relevance_score is not within 0 and 1: it must apply the sigmoid")
    return scores
