"""Servers in processes of their own on one PostgreSQL, each with a data folder of its own and the embedded profile."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, InternalServerError, NotFoundError

from tests.ports import reserved_port
from tests.postgresql_cluster import Cluster
from tests.server.cli.process import Server, server
from tests.until import PATIENCE, until

pytestmark = pytest.mark.slow
FILES = 20
NAMES = [f"note-{number:02}.md" for number in range(FILES)]
LEASE = 60.0  # seconds: of the server's ingest


@asynccontextmanager
async def serving(data: Path, url: str) -> AsyncIterator[tuple[Server, AsyncOpenAI]]:
    """Without an engine: nobody answers where it is said to be."""
    with reserved_port() as port:
        engine = f"http://127.0.0.1:{port}/v1"
        settings = {"RAGPOD_PROFILE": "embedded", "RAGPOD_STORE_URL": url, "RAGPOD_ENGINE_URL": engine}
        with server(data, **settings) as running:
            http = DefaultAsyncHttpxClient(verify=False)
            async with AsyncOpenAI(
                base_url=f"{running.url}/v1", api_key="none", max_retries=0, http_client=http
            ) as client:
                yield running, client


async def test_what_is_given_to_one_is_found_and_deleted_at_the_other(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.new_database()
    async with serving(tmp_path / "one", url) as (_, one), serving(tmp_path / "two", url) as (_, two):
        store = (await one.vector_stores.create(name="birds")).id
        files = [await upload(one, number) for number in range(3)]
        for file in files:
            await one.vector_stores.files.create_and_poll(file, vector_store_id=store, poll_interval_ms=20)
        for client in (one, two):
            assert await found(client, store) == NAMES[:3]
        assert (await two.files.content(files[1])).content == note(1)
        await two.files.delete(files[1])
        for client in (one, two):
            assert await found(client, store) == [NAMES[0], NAMES[2]]
        await two.vector_stores.delete(store)
        for client in (one, two):
            with pytest.raises(NotFoundError):
                await found(client, store)


@pytest.mark.heavy
async def test_a_server_that_was_killed_goes_on_where_it_was_when_it_starts_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    url = cluster.new_database()
    async with serving(tmp_path / "one", url) as (running, one):
        store = await killed_at_work(running, one, tmp_path / "one", url)
    async with serving(tmp_path / "one", url) as (_, again):
        await until(lambda: is_whole(again, store), PATIENCE)
        assert await found(again, store) == NAMES


@pytest.mark.heavy
async def test_what_a_killed_server_was_at_is_finished_by_the_other(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.new_database()
    async with serving(tmp_path / "one", url) as (running, one), serving(tmp_path / "two", url) as (_, two):
        store = await killed_at_work(running, one, tmp_path / "one", url)
        await until(lambda: is_whole(two, store), LEASE + PATIENCE)
        assert await found(two, store) == NAMES


@pytest.mark.heavy
async def test_servers_go_on_when_their_database_has_crashed(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.new_database()
    async with serving(tmp_path / "one", url) as (_, one), serving(tmp_path / "two", url) as (_, two):
        store = (await one.vector_stores.create(name="birds")).id
        files = [await upload(one, number) for number in range(FILES)]
        await one.vector_stores.file_batches.create(store, file_ids=files)
        with cluster.away():
            for client in (one, two):
                with pytest.raises(InternalServerError) as refused:
                    await found(client, store)
                assert (refused.value.status_code, refused.value.code) == (503, "store_unavailable")
        await until(lambda: is_whole(two, store), PATIENCE)
        for client in (one, two):  # the indexes of the one that did not complete a file follow when it is searched
            await until(partial(finds_all, client, store), PATIENCE)


async def finds_all(client: AsyncOpenAI, store: str) -> bool:
    return await found(client, store) == NAMES


async def killed_at_work(running: Server, client: AsyncOpenAI, data: Path, url: str) -> str:
    """The vector store of 20 files, of which the server that is killed has some in its hands.

    It cannot save a vector before it is dead: the test holds the table.
    """
    store = (await client.vector_stores.create(name="birds")).id
    files = [await upload(client, number) for number in range(FILES)]
    worker, place = (data / "consumer").read_text(), url.replace("+psycopg", "")
    with psycopg.connect(place) as holding, psycopg.connect(place, autocommit=True) as seeing:
        holding.execute("LOCK TABLE vectors IN EXCLUSIVE MODE")
        await client.vector_stores.file_batches.create(store, file_ids=files)
        await until(lambda: held(seeing, worker) > 0, PATIENCE)
        running.end(signal.SIGKILL)
        assert held(seeing, worker) > 0
    return store


def held(connection: "psycopg.Connection[Any]", worker: str) -> int:
    """How many files are leased to it."""
    query = "SELECT count(*) FROM store_files WHERE leased_by = %s AND status = 'in_progress'"
    row = connection.execute(query, [worker]).fetchone()
    assert row is not None
    return int(row[0])


def note(number: int) -> bytes:
    return f"# Note {number}\n\nBird number {number} of the list was seen {number + 3} times in spring.\n".encode()


async def upload(client: AsyncOpenAI, number: int) -> str:
    return (await client.files.create(file=(NAMES[number], note(number)), purpose="assistants")).id


async def is_whole(client: AsyncOpenAI, store: str) -> bool:
    counts = (await client.vector_stores.retrieve(store)).file_counts
    assert (counts.failed, counts.cancelled, counts.total) == (0, 0, FILES)
    return counts.completed == FILES


async def found(client: AsyncOpenAI, store: str) -> list[str]:
    """The file of every passage."""
    page = await client.vector_stores.search(store, query="bird seen in spring", max_num_results=50)
    return sorted(hit.filename for hit in page.data)
