"""The largest requests hold nobody else up: the fixture `nothing_holds_the_loop_up` watches while they are answered."""

import io
from typing import Any

import orjson
import pytest

from models.embedders.e5 import E5Embedder
from tests.server.house import House

SIZE = 340_000  # characters; three bytes each in Korean: just under limits.request_bytes
TEXTS = {
    "english": "the delivery of it " * (3 * SIZE // 19),
    "korean": "배송은 며칠 걸리나요? " * (SIZE // 16),
    "marks": "[1]\n" * (SIZE // 2),
}


def message(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def several(text: str) -> list[dict[str, Any]]:
    part = len(text) // 201
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text[i * part : (i + 1) * part]} for i in range(201)]


BODIES: list[tuple[str, Any]] = [
    ("/v1/chat/completions", lambda text: {"model": "ragpod", "messages": message(text)}),
    ("/v1/chat/completions", lambda text: {"model": "ragpod", "messages": several(text)}),
    ("/v1/chat/completions", lambda text: {"model": "stub", "messages": message(text)}),
    ("/v1/chat/completions", lambda text: {"model": "stub", "messages": several(text)}),
    ("/v1/responses", lambda text: {"model": "ragpod", "input": text}),
    ("/v1/responses", lambda text: {"model": "stub", "input": several(text)}),
    ("/v1/responses", lambda text: {"model": "ragpod", "input": several(text)}),
    ("/v1/responses/input_tokens", lambda text: {"model": "ragpod", "input": several(text)}),
    ("/api/v1/chat", lambda text: {"question": text}),
    ("/v1/embeddings", lambda text: {"model": E5Embedder.name, "input": text}),
    ("/v1/rerank", lambda text: {"query": "delivery", "documents": [text]}),
]


@pytest.mark.house("module")
@pytest.mark.parametrize("kind", list(TEXTS))
@pytest.mark.parametrize(("path", "body"), BODIES)
async def test_a_large_request_holds_nobody_up(home: House, path: str, body: Any, kind: str) -> None:
    sent = io.BytesIO(orjson.dumps(body(TEXTS[kind])))
    headers = {"Content-Type": "application/json"}
    async with home.http.post(home.url + path, data=sent, headers=headers) as response:
        assert response.status in (200, 400), (response.status, (await response.read())[:300])
