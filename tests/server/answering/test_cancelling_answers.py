"""However an answer ends early, the engine's running count is 0 within a second and the turn is stored."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from models.base import Prompt, Sampling, TokenDelta
from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.records.tables import turns
from tests.server.house import QUESTION, House, house
from tests.stub_engine import Hold
from tests.until import PATIENCE, until

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": QUESTION}]
ROUTES = [
    pytest.param(CHAT, {"model": "ragpod", "messages": MESSAGES}, id="whole"),
    pytest.param(CHAT, {"model": "ragpod", "messages": MESSAGES, "stream": True}, id="stream"),
    pytest.param(CHAT, {"model": "stub", "messages": MESSAGES}, id="engine-whole"),
    pytest.param(CHAT, {"model": "stub", "messages": MESSAGES, "stream": True}, id="engine-stream"),
    pytest.param("/v1/responses", {"model": "ragpod", "input": QUESTION}, id="response-whole"),
    pytest.param("/v1/responses", {"model": "ragpod", "input": QUESTION, "stream": True}, id="response-stream"),
    pytest.param("/v1/responses", {"model": "stub", "input": QUESTION}, id="engine-response"),
    pytest.param("/api/v1/chat", {"question": QUESTION}, id="backend-whole"),
    pytest.param("/api/v1/chat/stream", {"question": QUESTION}, id="backend-stream"),
    pytest.param("/api/chat", {"question": QUESTION}, id="page-whole"),
    pytest.param("/api/chat/stream", {"question": QUESTION}, id="page-stream"),
]
ANSWERS = [route for route in ROUTES if not str(route.id).startswith("engine")]


async def asked(home: House, path: str, body: dict[str, Any]) -> asyncio.Task[bytes]:
    """A client that reads until it is cancelled: then its socket is closed."""

    async def read() -> bytes:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as client,
            client.post(home.url + path, json=body) as response,
        ):
            return await response.read()

    return asyncio.create_task(read())


async def leave(client: asyncio.Task[bytes]) -> None:
    client.cancel()
    await asyncio.wait([client])


async def all_is_quiet(home: House) -> None:
    await home.stub.idle()
    await until(lambda: not len(home.parts.runs) and not home.parts.admission.running, PATIENCE)


def consumed(home: House) -> Callable[[], str]:
    """The engine's text as far as the answer has come back for more: what it has worked in."""
    text: list[str] = []
    stream = home.parts.generators.engine.generator.stream

    @asynccontextmanager
    async def watched(prompt: Prompt, sampling: Sampling) -> AsyncIterator[AsyncIterator[TokenDelta]]:
        async def deltas() -> AsyncIterator[TokenDelta]:
            async for delta in given:
                yield delta
                text.append(delta.text)

        async with stream(prompt, sampling) as given:
            yield deltas()

    home.parts.generators.engine.generator.stream = watched  # type: ignore[method-assign]
    return lambda: "".join(text)


async def last_trace(home: House) -> dict[str, Any]:
    newest = select(turns.c.trace_id).order_by(turns.c.created.desc()).limit(1)
    trace_id = await home.parts.database.read(lambda db: db.scalar(newest))
    _, trace = await home.get(f"/api/v1/traces/{trace_id}")
    return trace


@pytest.mark.parametrize(("path", "body"), ROUTES)
async def test_a_client_that_leaves_during_generation_frees_the_engine(
    home: House, path: str, body: dict[str, Any]
) -> None:
    home.stub.script("배송은 ", Hold())
    client = await asked(home, path, body)
    await home.stub.started()
    await leave(client)
    await all_is_quiet(home)
    assert home.stub.running == 0


@pytest.mark.parametrize(("path", "body"), ANSWERS)
async def test_what_was_written_before_the_client_left_is_stored(home: House, path: str, body: dict[str, Any]) -> None:
    home.stub.script("배송은 ", "이틀", Hold())
    text = consumed(home)
    client = await asked(home, path, body)
    await until(lambda: text() == "배송은 이틀", PATIENCE)
    await leave(client)
    await all_is_quiet(home)
    trace = await last_trace(home)
    assert (trace["status"], trace["answer"], trace["finish_reason"]) == ("cancelled", "배송은 이틀", None)
    assert trace["sources"]


@pytest.mark.parametrize(("path", "body"), ROUTES)
async def test_a_client_that_leaves_the_queue_takes_no_place(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, path: str, body: dict[str, Any]
) -> None:
    async with house(data_dir, embedder, tokenizer, limits={"answers": 1, "queue": 5}) as home:
        async with home.parts.admission.admit():
            client = await asked(home, path, body)
            await until(lambda: home.parts.admission.waiting == 1, PATIENCE)
            await leave(client)
            await until(lambda: home.parts.admission.waiting == 0, PATIENCE)
        await all_is_quiet(home)
        assert home.stub.requests == []


class Held:
    """A retriever that searches for ever, around the real one."""

    def __init__(self) -> None:
        self.searching = 0

    async def search(self, *_: Any) -> Any:
        self.searching += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.searching -= 1


@pytest.mark.parametrize(("path", "body"), ANSWERS)
async def test_a_client_that_leaves_during_the_search_ends_it(
    home: House, path: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held()
    monkeypatch.setattr(home.parts.library.retriever, "search", held.search)
    client = await asked(home, path, body)
    await until(lambda: held.searching == 1, PATIENCE)
    await leave(client)
    await until(lambda: held.searching == 0, PATIENCE)
    await all_is_quiet(home)
    assert (await last_trace(home))["status"] == "cancelled"


async def test_a_search_past_its_limit_answers_504(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(data_dir, embedder, tokenizer, limits={"search_seconds": 0.05}) as home:
        held = Held()
        monkeypatch.setattr(home.parts.library.retriever, "search", held.search)
        for path, body in ((CHAT, {"model": "ragpod", "messages": MESSAGES}), ("/api/v1/chat", {"question": QUESTION})):
            status, answer = await home.post(path, body)
            assert (status, answer["error"]["code"]) == (504, "timeout")
        assert held.searching == 0
        await all_is_quiet(home)
        assert (await last_trace(home))["status"] == "failed"


async def test_an_answer_past_the_total_limit_ends_with_an_error_and_frees_the_engine(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, limits={"total_seconds": 5.0}) as hasty:
        await hasty.post("/api/v1/chat", {"question": QUESTION})  # so that the search is warm and takes no time
        hasty.stub.script("배송은 ", Hold())
        events = await hasty.stream(CHAT, {"model": "ragpod", "messages": MESSAGES, "stream": True})
        assert events[-1]["error"]["code"] == "timeout"
        await all_is_quiet(hasty)
        trace = await last_trace(hasty)
        assert (trace["status"], trace["answer"]) == ("failed", "배송은 ")


async def test_an_engine_without_a_first_token_is_left_and_the_evidence_quoted(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, limits={"first_token_seconds": 0.3}) as hasty:
        hasty.stub.script(Hold())
        status, answer = await hasty.post("/api/v1/chat", {"question": QUESTION})
        assert status == 200
        assert "[1]" in answer["answer"]
        assert answer["metadata"]["degraded"] == ["engine: too slow; the answer quotes the evidence"]
        await all_is_quiet(hasty)


@pytest.mark.parametrize("path", ["/api/v1/chat/stream", CHAT])
async def test_stop_ends_the_stream_properly_and_keeps_what_was_written(home: House, path: str) -> None:
    home.stub.script("배송은 ", Hold())
    body = {"question": QUESTION} if path != CHAT else {"model": "ragpod", "messages": MESSAGES, "stream": True}
    written = consumed(home)
    async with home.http.post(home.url + path, json=body) as response:
        trace_id = response.headers["x-request-id"]
        await until(lambda: written() == "배송은 ", PATIENCE)
        assert await home.post(f"/api/v1/chat/{trace_id}/stop", {}) == (
            200,
            {"success": True, "trace_id": trace_id, "stopped": True},
        )
        text = (await response.read()).decode()
    await all_is_quiet(home)
    assert "배송은 " in text
    assert ("[DONE]" in text) if path == CHAT else ('"finish_reason":"cancelled"' in text)
    trace = await last_trace(home)
    assert (trace["status"], trace["answer"]) == ("cancelled", "배송은 ")
    assert (await home.post(f"/api/v1/chat/{trace_id}/stop", {}))[1]["stopped"] is False
    assert (await home.post("/api/v1/chat/trace_unknown/stop", {}))[0] == 404


async def test_stopping_a_whole_answer_returns_what_was_written(home: House) -> None:
    home.stub.script("배송은 ", Hold())
    written = consumed(home)
    answering = asyncio.create_task(home.post("/api/v1/chat", {"question": QUESTION}))
    await until(lambda: written() == "배송은 ", PATIENCE)
    ((owner, trace_id),) = home.parts.runs.ids()
    assert home.parts.runs.stop(owner, trace_id)
    status, answer = await answering
    assert (status, answer["answer"]) == (200, "배송은 ")
    await all_is_quiet(home)
