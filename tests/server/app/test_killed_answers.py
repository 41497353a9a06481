"""kill -9 while an answer runs: what was asked is there afterwards, marked as interrupted by its own server's start."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.postgresql_cluster import Cluster
from tests.server.cli.process import Server, server
from tests.stub_engine import Finish, Hold, StubEngine
from tests.until import PATIENCE, until

pytestmark = pytest.mark.slow
QUESTION = "배송은 며칠 걸리나요?"


@contextmanager
def serving(data: Path, stub: StubEngine, url: str | None = None) -> Iterator[Server]:
    settings = {"RAGPOD_PROFILE": "embedded", "RAGPOD_ENGINE_URL": stub.url, "RAGPOD_ENGINE_MODEL": stub.model}
    with server(data, **settings, **({} if url is None else {"RAGPOD_STORE_URL": url})) as running:
        yield running


@asynccontextmanager
async def asked(running: Server, stub: StubEngine) -> AsyncIterator[tuple[str, aiohttp.ClientResponse]]:
    """An answer of the engine's that has begun to be written: its trace id."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE):
        body = {"model": stub.model, "input": QUESTION, "stream": True}
        while True:
            async with http.post(f"{running.url}/v1/responses", json=body) as response:
                if response.status == 503:  # the engine is not known to be ready yet
                    continue
                assert response.status == 200, await response.text()
                yield response.headers["x-request-id"], response
                return


async def trace(running: Server, trace_id: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"{running.url}/api/v1/traces/{trace_id}") as response:
        found: dict[str, Any] = await response.json()
        return found


async def test_the_question_of_an_answer_that_was_killed_is_there(tmp_path: Path) -> None:
    async with StubEngine() as stub:
        stub.script("Half an ", Hold(), "answer", Finish())
        with serving(tmp_path / "data", stub) as running:
            async with asked(running, stub) as (trace_id, _):
                await until(lambda: stands(running, trace_id, "running"), PATIENCE)
                found = await trace(running, trace_id)
                assert (found["question"], found["answer"]) == (QUESTION, "")
                running.end(signal.SIGKILL)
        with serving(tmp_path / "data", stub) as again:
            found = await trace(again, trace_id)
            assert (found["status"], found["question"], found["model"]) == ("interrupted", QUESTION, stub.model)


@pytest.mark.heavy
async def test_the_start_of_one_server_says_nothing_about_the_answers_of_another(
    cluster: Cluster, tmp_path: Path
) -> None:
    url = cluster.new_database()
    async with StubEngine() as stub:
        stub.script("Half an ", Hold(), "answer", Finish())
        with serving(tmp_path / "one", stub, url) as one:
            async with asked(one, stub) as (whole, response):
                await until(lambda: stands(one, whole, "running"), PATIENCE)
                for _ in range(2):
                    with serving(tmp_path / "two", stub, url) as two:
                        assert (await trace(two, whole))["status"] == "running"
                        two.end(signal.SIGKILL)
                stub.release()
                await response.read()
            found = await trace(one, whole)
            assert (found["status"], found["answer"]) == ("complete", "Half an answer")
            stub.reset()
            stub.script("Half an ", Hold(), "answer", Finish())
            async with asked(one, stub) as (killed, _):
                await until(lambda: stands(one, killed, "running"), PATIENCE)
                one.end(signal.SIGKILL)
        with serving(tmp_path / "two", stub, url) as two:
            assert (await trace(two, killed))["status"] == "running"  # it may be alive, for all that this one knows
            with serving(tmp_path / "one", stub, url) as again:
                assert (await trace(two, killed))["status"] == "interrupted"
                assert (await trace(again, whole))["status"] == "complete"


async def stands(running: Server, trace_id: str, status: str) -> bool:
    """The turn is written beside the search, so a moment after its trace id is known."""
    return (await trace(running, trace_id)).get("status") == status
