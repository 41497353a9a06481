"""The server while PostgreSQL crashes and comes back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from models.embedders.e5 import E5Embedder
from models.wire.sse import SseParser
from retrieval.passages.tokenize import Tokenizer
from tests.postgresql_cluster import Cluster
from tests.server.house import ENGLISH, House, house
from tests.stub_engine import Finish, Hold

QUESTION = "What does a lambda expression create?"
CHAT = {"model": "ragpod:python", "messages": [{"role": "user", "content": QUESTION}]}


@pytest.fixture
async def on_postgresql(
    cluster: Cluster, tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> AsyncIterator[House]:
    async with house(tmp_path / "data", embedder, tokenizer, store={"url": cluster.new_database()}) as opened:
        await opened.ingest("python", ENGLISH)
        yield opened


async def test_whoever_asks_meanwhile_is_told_to_come_again(cluster: Cluster, on_postgresql: House) -> None:
    home = on_postgresql
    store = (await home.get("/v1/vector_stores"))[1]["data"][0]["id"]
    search = f"/v1/vector_stores/{store}/search", {"query": QUESTION}
    await asyncio.to_thread(cluster.crash)
    try:
        for path, body in (search, ("/v1/chat/completions", CHAT)):
            async with home.http.post(home.url + path, json=body) as refused:
                assert refused.status == 503
                assert refused.headers["retry-after"]
                assert (await refused.json())["error"]["code"] == "store_unavailable"
        assert (await home.get("/v1/vector_stores"))[0] == 503
        assert (await home.get("/health"))[0] == 200
    finally:
        await asyncio.to_thread(cluster.start)
    status, found = await home.post(*search)
    assert (status, len(found["data"])) == (200, 2)
    home.stub.script("An anonymous function [1].", Finish())
    status, answer = await home.post("/v1/chat/completions", CHAT)
    assert status == 200
    assert answer["choices"][0]["message"]["content"].startswith("An anonymous function")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_answer_that_was_begun_is_given_whole_though_it_cannot_be_kept(
    cluster: Cluster, on_postgresql: House, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    home = on_postgresql
    home.stub.script("An anonymous ", Hold(), "function [1].", Finish())
    asked = asyncio.create_task(said(home, stream))
    await home.stub.started()
    await asyncio.to_thread(cluster.crash)
    try:
        home.stub.release()
        trace_id, text = await asked
    finally:
        await asyncio.to_thread(cluster.start)
    assert text == "An anonymous function [1]."
    assert f"the turn of answer {trace_id} could not be kept" in caplog.text
    await home.parts.turns.interrupt()  # as the upkeep does
    assert (await home.get(f"/api/v1/traces/{trace_id}"))[1]["status"] == "interrupted"
    home.stub.script("Another [1].", Finish())
    trace_id, _ = await said(home, stream)
    assert (await home.get(f"/api/v1/traces/{trace_id}"))[1]["answer"] == "Another [1]."


async def said(home: House, stream: bool) -> tuple[str, str]:
    """Trace id and text; the end of the stream is required."""
    async with home.http.post(f"{home.url}/v1/chat/completions", json={**CHAT, "stream": stream}) as response:
        assert response.status == 200, await response.text()
        trace_id, body = response.headers["x-request-id"], await response.read()
    if not stream:
        return trace_id, orjson.loads(body)["choices"][0]["message"]["content"]
    events = SseParser().feed(body)
    assert events.pop() == b"[DONE]"
    deltas = [choice["delta"] for event in events for choice in orjson.loads(event)["choices"]]
    return trace_id, "".join(delta.get("content") or "" for delta in deltas)
