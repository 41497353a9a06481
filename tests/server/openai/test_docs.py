"""docs/openai.md says what the server does: its examples run, in their order, and no route is missing."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.app.app import create_app
from server.settings.settings import Settings
from tests.conftest import Llama
from tests.server.house import ENGLISH, house
from tests.stub_engine import Finish, Say

PAGE = Path(__file__).resolve().parents[3] / "docs" / "openai.md"
TEXT = PAGE.read_text("utf-8")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OPENAI = re.compile(r"^(/v1/|/v2/|/rerank$)")


def blocks() -> Iterator[tuple[int, str]]:
    """Line of the page that each example begins at, and its source."""
    for found in _BLOCK.finditer(TEXT):
        yield TEXT.count("\n", 0, found.start(1)) + 1, found[1]


def test_every_route_has_its_row() -> None:
    paths = create_app(Settings.load()).openapi()["paths"]
    routes = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    missing = [route for route in routes if _OPENAI.match(route.split()[1]) and f"`{route}`" not in TEXT]
    assert missing == []


async def test_every_example_runs(tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> None:
    async with house(tmp_path / "data", embedder, tokenizer) as home:
        parts = ("A lambda expression creates ", "an anonymous function [1].")
        home.stub.script(*(Say(part, tokens=(part,)) for part in parts), Finish())
        await home.ingest("default", ENGLISH)
        assert await asyncio.to_thread(run, home.url, "") > 10
        assert home.stub.requests


@pytest.mark.engine
@pytest.mark.parametrize("having", ["stream=True", pytest.param("", marks=pytest.mark.heavy, id="every")])
async def test_examples_run_on_a_real_engine(
    tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer, llama: Llama, having: str
) -> None:
    async with house(tmp_path / "data", embedder, tokenizer, real=llama) as home:
        await home.ingest("default", ENGLISH)
        assert await asyncio.to_thread(run, home.url, having) > (1 if having else 10)


def run(url: str, having: str) -> int:
    """How many examples ran: those with that text in their source.

    In one namespace: an example may go on from the one before it.
    """
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        names = {"client": client, "url": url}
        ran = 0
        for line, source in ((line, source) for line, source in blocks() if having in source):
            padded = "\n" * (line - 1) + source  # so that a traceback names the line of the page
            exec(compile(padded, str(PAGE), "exec"), names)
            ran += 1
    return ran
