"""kill -9 between an event and its delivery: it is delivered after the restart, under the same id."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from tests.databases import empty_database
from tests.ports import reserved_port
from tests.server.cli.process import Server, server
from tests.server.webhooks.receiver import never, receiver
from tests.until import PATIENCE, until

pytestmark = pytest.mark.slow


@contextmanager
def serving(data: Path, url: str | None) -> Iterator[Server]:
    """Without an engine: nobody answers where it is said to be."""
    with reserved_port() as port:
        settings = {"RAGPOD_PROFILE": "embedded", "RAGPOD_ENGINE_URL": f"http://127.0.0.1:{port}/v1"}
        settings |= {"RAGPOD_WEBHOOKS_ALLOW": "127.0.0.1", "RAGPOD_PARSING_WORKERS": "0"}
        with server(data, **settings, **({} if url is None else {"RAGPOD_STORE_URL": url})) as running:
            yield running


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_an_event_whose_server_was_killed_is_delivered_after_its_restart(tmp_path: Path, kind: str) -> None:
    """By then its state change is committed, and an attempt has begun of which nobody knows the end."""
    with empty_database(kind, tmp_path) as place:
        url = None if kind == "sqlite" else place.render_as_string(hide_password=False).replace("+psycopg", "")
        async with receiver(answer=never) as to, aiohttp.ClientSession() as http:
            with serving(tmp_path / "data", url) as running:
                async with http.post(f"{running.url}/api/v1/webhooks", json={"url": to.url}) as response:
                    made = await response.json()
                    assert response.status == 200, made
                to.secret = made["secret"]
                sdk = DefaultAsyncHttpxClient(verify=False)
                async with AsyncOpenAI(base_url=f"{running.url}/v1", api_key="none", http_client=sdk) as client:
                    store = (await client.vector_stores.create(name="birds")).id
                    await client.vector_stores.files.upload(
                        vector_store_id=store, file=("wren.md", b"# Wren\n\nThe wren sings in spring.")
                    )
                    await until(lambda: len(to.received) == 1, PATIENCE)
                running.end(signal.SIGKILL)
            to.answer = None
            with serving(tmp_path / "data", url) as again:
                await until(lambda: len(to.received) == 2, PATIENCE)
                first, second = to.received
                assert (first.id, first.type, first.data) == (second.id, "file.completed", second.data)
                listed = f"{again.url}/api/v1/webhooks/{made['id']}/deliveries"

                async def delivered() -> bool:
                    async with http.get(listed) as response:
                        (delivery,) = (await response.json())["data"]
                    return (delivery["status"], delivery["attempts"]) == ("delivered", 2)

                await until(delivered, PATIENCE)
