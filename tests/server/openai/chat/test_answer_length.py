"""No request with the engine's own id may be answered without end."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from models.base import Message
from models.embedders.e5 import E5Embedder
from models.wire.engine_traits import EngineTraits
from models.wire.openai_client import OpenAIClient
from retrieval.passages.tokenize import Tokenizer
from server.openai.chat.answer_length import unsaid
from tests.server.house import House, house

ASK: dict[str, Any] = {"model": "stub", "messages": [{"role": "user", "content": "Hi"}]}
MOST = 64


@pytest.fixture(scope="module")
async def short(
    furnished: Path, tmp_path_factory: pytest.TempPathFactory, embedder: E5Embedder, tokenizer: Tokenizer
) -> AsyncIterator[House]:
    """A house whose answers have 64 tokens at most."""
    folder = tmp_path_factory.mktemp("short") / "data"
    async with house(folder, embedder, tokenizer, limits={"max_tokens": MOST}) as opened:
        yield opened


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {"max_tokens": MOST}),
        ({"max_tokens": None}, {"max_tokens": MOST}),
        ({"max_tokens": None, "max_completion_tokens": None}, {"max_tokens": MOST, "max_completion_tokens": None}),
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"max_tokens": 65}, {"max_tokens": MOST}),
        ({"max_completion_tokens": 10**6}, {"max_completion_tokens": MOST}),
        ({"max_tokens": 10**6, "max_completion_tokens": 7}, {"max_tokens": MOST, "max_completion_tokens": 7}),
        ({"n_predict": -1}, {"n_predict": MOST, "max_tokens": MOST}),
        ({"n_predict": 7}, {"n_predict": 7, "max_tokens": MOST}),
        ({"max_tokens": 7, "n_predict": 10**6}, {"max_tokens": 7, "n_predict": MOST}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_limit_counts_whatever_the_request_says(
    short: House, asked: dict[str, Any], sent: dict[str, Any], stream: bool
) -> None:
    short.stub.reset()
    async with short.http.post(f"{short.url}/v1/chat/completions", json=ASK | {"stream": stream} | asked) as response:
        assert response.status == 200, await response.text()
    request = short.stub.requests[-1]
    names = ("max_tokens", "max_completion_tokens", "n_predict")
    assert {name: request[name] for name in names if name in request} == sent


async def test_a_length_that_is_no_number_is_refused(short: House) -> None:
    status, body = await short.post("/v1/chat/completions", ASK | {"n_predict": "1000000"})
    assert (status, body["error"]["param"]) == (400, "n_predict")


def client(dialect: Any, context: int | None) -> OpenAIClient:
    made = OpenAIClient("http://127.0.0.1:1/v1", "m", traits=EngineTraits(dialect))
    made.learn("m", context, dialect)
    return made


@pytest.mark.parametrize(
    ("dialect", "context", "letters", "given"),
    [
        ("openai", 1000, 100, True),
        ("openai", 1000, 3000, False),  # the context ends it sooner: 900 tokens of prompt and 100 would not fit
        ("openai", 2000, 1500, True),  # by its bytes it might not fit, by the estimate it does
        ("openai", None, 9000, True),  # who knows what fits
        ("vllm", 1000, 3000, False),
        ("vllm", 2000, 3000, True),
        ("llama.cpp", 1000, 3000, True),
    ],
)
async def test_no_engine_is_sent_a_number_that_does_not_fit_beside_the_prompt(
    dialect: str, context: int | None, letters: int, given: bool
) -> None:
    text = "word " * (letters // 5)
    raw = {"model": "m", "messages": [{"role": "user", "content": text}]}
    made = await unsaid(raw, [Message("user", text)], 100, client(dialect, context))
    assert made == ({"max_tokens": 100} if given else {})
