"""A reranker by URL: what it is sent, and every way in which it can fail, over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from models.errors import BadRequest, ModelError, Overloaded, Timeout, Unavailable
from models.rerankers.calibration import Calibration, logits
from models.rerankers.remote_reranker import RemoteReranker
from tests.until import PATIENCE, until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Stub:
    """Scores a document by its length over 100; `answer` replaces the JSON, `status` the status."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[tuple[dict[str, Any], str | None]] = []
        self.status = 200
        self.answer: Any = None
        self.hang = False

    async def rerank(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.seen.append((body, request.headers.get("Authorization")))
        if self.hang:
            await asyncio.Event().wait()
        results = [{"index": i, "relevance_score": len(text) / 100} for i, text in enumerate(body["documents"])]
        results.sort(key=lambda one: -one["relevance_score"])
        answer = {"results": results} if self.answer is None else self.answer
        if isinstance(answer, str):
            return web.Response(text=answer, status=self.status)
        return web.json_response(answer, status=self.status)

    async def models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [{"id": "qwen3-reranker"}]})


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    stub, app = Stub(), web.Application()
    app.router.add_post("/v1/rerank", stub.rerank)
    app.router.add_get("/v1/models", stub.models)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield stub
    await runner.cleanup()


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/"])
async def test_scores_come_back_in_the_order_of_the_texts_as_logits(stub: Stub, base: str) -> None:
    reranker = RemoteReranker(stub.url + base, "secret")
    logits = await reranker.score("질문", ["a" * 20, "b" * 90, "c" * 50])
    assert np.argsort(-logits).tolist() == [1, 2, 0]
    assert reranker.probability(logits) == pytest.approx([0.2, 0.9, 0.5], abs=1e-5)
    body = {"model": "qwen3-reranker", "query": "질문", "documents": ["a" * 20, "b" * 90, "c" * 50]}
    assert stub.seen == [(body, "Bearer secret")]
    assert reranker.name == "qwen3-reranker"
    assert len(await reranker.score("nothing", [])) == 0
    await reranker.aclose()


@pytest.mark.parametrize(
    ("status", "answer", "error", "message"),
    [
        (429, {}, Overloaded, "busy"),
        (503, {}, Overloaded, "busy"),
        (500, "it broke", Unavailable, "HTTP 500: it broke"),
        (400, {"error": {"message": "maximum context length"}}, BadRequest, "HTTP 400: .*maximum context length"),
        (422, "no such field", BadRequest, "HTTP 422: no such field"),
        (307, "elsewhere", Unavailable, "HTTP 307"),
        (200, "<html>", Unavailable, "not JSON"),
        (200, [], Unavailable, "not a list of index"),
        (200, {"results": [{"index": 0}]}, Unavailable, "relevance_score"),
        (200, {"results": [{"index": 0, "relevance_score": "high"}]}, Unavailable, "not a list"),
        (200, {"results": [{"index": 7, "relevance_score": 0.5}]}, Unavailable, "index 7 for 2"),
        (200, {"results": [{"index": 0.5, "relevance_score": 0.5}]}, Unavailable, r"index 0\.5 for 2"),
        (200, {"results": [{"index": "0", "relevance_score": 0.5}]}, Unavailable, "index '0' for 2"),
        (200, {"results": [{"index": 0, "relevance_score": 0.5}]}, Unavailable, "left out 1 of 2"),
        (200, {"results": [{"index": i, "relevance_score": 4.5} for i in (0, 1)]}, Unavailable, "sigmoid"),
    ],
)
async def test_every_failure_says_what_it_is(
    stub: Stub, status: int, answer: Any, error: type[ModelError], message: str
) -> None:
    stub.status, stub.answer = status, answer
    reranker = RemoteReranker(stub.url, model="m")
    with pytest.raises(error, match=message) as caught:
        await reranker.score("q", ["one", "two"])
    assert "127.0.0.1" not in str(caught.value)
    await reranker.aclose()


async def test_silence_and_absence_are_told_apart(stub: Stub) -> None:
    stub.hang = True
    slow = RemoteReranker(stub.url, model="m", timeout_seconds=0.2)
    with pytest.raises(Timeout, match=r"within 0\.2 s"):
        await slow.score("q", ["one"])
    await slow.aclose()
    nobody = RemoteReranker("http://127.0.0.1:9", model="m")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await nobody.score("q", ["one"])
    await nobody.aclose()


async def test_half_of_a_surrogate_pair_is_sent_as_a_character(stub: Stub) -> None:
    reranker = RemoteReranker(stub.url, model="m")
    assert len(await reranker.score("\ud800?", ["a\udc00"])) == 1
    assert stub.seen[0][0]["documents"] == ["a\ufffd"]
    await reranker.aclose()


async def test_closing_ends_what_waits_and_leaves_nothing_open(stub: Stub) -> None:
    stub.hang = True
    reranker = RemoteReranker(stub.url, model="m", timeout_seconds=600)
    waiting = asyncio.create_task(reranker.score("q", ["one"]))
    await until(lambda: len(stub.seen) == 1, PATIENCE)
    await reranker.aclose()
    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(Unavailable, match="closed"):
        await reranker.score("q", ["one"])
    await RemoteReranker(stub.url).aclose()


async def test_a_calibration_of_its_own(stub: Stub) -> None:
    reranker = RemoteReranker(stub.url, model="m", calibration=Calibration(slope=2.0, bias=-1.0))
    found = reranker.probability(await reranker.score("q", ["a" * 50, "b" * 90]))
    assert found == pytest.approx(
        Calibration(2.0, -1.0).probability(logits(np.array([0.5, 0.9], np.float32))), abs=1e-6
    )
    await reranker.aclose()


@pytest.mark.torch
@pytest.mark.usefixtures("torch")
def test_the_template_is_the_prompt_that_qwen3_reranker_was_trained_with() -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    template = (Path(__file__).parents[3] / "scripts" / "qwen3_reranker.jinja").read_text()
    messages = [{"role": "query", "content": "환불은 <언제>?"}, {"role": "document", "content": " 3영업일\n안에 "}]
    for given, task in (
        ({}, "Given a web search query, retrieve relevant passages that answer the query"),
        ({"instruction": "질문에 답하는 글"}, "질문에 답하는 글"),
    ):
        (rendered,), _ = render_jinja_template([messages], chat_template=template, **given)
        assert rendered == (
            "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
            'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
            f"<Instruct>: {task}\n<Query>: 환불은 <언제>?\n<Document>:  3영업일\n안에 <|im_end|>\n"
            "<|im_start|>assistant\n<think>\n\n</think>\n\n"
        )
