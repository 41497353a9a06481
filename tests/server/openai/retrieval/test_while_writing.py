"""What only reads goes on while someone writes, for as long as that takes."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from retrieval.store.store import Store
from tests.server.house import QUESTION, House
from tests.server.openai.later import later
from tests.until import PATIENCE, until

pytestmark = pytest.mark.house("test")
UPLOADS = 64


@asynccontextmanager
async def writing(store: Store) -> AsyncIterator[None]:
    """One transaction is open until the block is left."""
    begun, over = threading.Event(), threading.Event()

    def write() -> None:
        with store.database.write():
            begun.set()
            over.wait(2 * PATIENCE)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        yield
    finally:
        over.set()
        thread.join()


async def default_store(home: House) -> tuple[str, str]:
    """Its id, and that of a file in it."""
    store = next(store.id for store in (await home.openai.vector_stores.list()).data if store.name == "default")
    return store, (await home.openai.vector_stores.files.list(store)).data[0].id


async def reads(home: House, store: str, file: str) -> None:
    """A search of each kind, a chat, and every GET route, all of them answered."""
    base = f"/v1/vector_stores/{store}"
    asked: dict[str, Any] = {"query": QUESTION, "max_num_results": 3}
    for body in (asked, asked | {"filters": {"type": "ne", "key": "a", "value": 1}}):
        status, found = await home.post(f"{base}/search", body)
        assert (status, len(found["data"])) == (200, 3)
    talk = {"model": "ragpod", "messages": [{"role": "user", "content": QUESTION}]}
    assert (await home.post("/v1/chat/completions", talk))[0] == 200
    files = ("/v1/files", f"/v1/files/{file}", f"{base}/files", f"{base}/files/{file}", f"{base}/files/{file}/content")
    for path in ("/v1/models", "/v1/models/ragpod", "/v1/vector_stores", base, *files):
        assert (await home.get(path))[0] == 200
    async with home.http.get(f"{home.url}/v1/files/{file}/content") as response:
        assert response.status == 200


async def test_searches_and_gets_answer_while_a_write_is_open(home: House) -> None:
    """Also the first search, which opens the indexes, and one that is more than a minute after the last use."""
    store, file = await default_store(home)
    for _ in range(2):
        await later(home, 3600, upkeep=False)
        async with writing(home.parts.library.store), asyncio.timeout(PATIENCE):
            await reads(home, store, file)


async def test_64_uploads_that_wait_hold_up_nothing_that_reads(home: House) -> None:
    """More than there are threads of any kind. All are taken when the writer before them is done; most of them have not
    been received until then.
    """
    library = home.parts.library
    store, file = await default_store(home)

    async def upload(number: int) -> int:
        form = aiohttp.FormData({"purpose": "assistants"})
        form.add_field("file", f"heron {number}".encode(), filename=f"{number}.txt")
        async with home.http.post(f"{home.url}/v1/files", data=form) as response:
            return response.status

    async with writing(library.store):
        uploads = [asyncio.create_task(upload(number)) for number in range(UPLOADS)]
        admitted = home.parts.settings.limits.uploads
        await until(lambda: library.store.writes.unfinished == admitted, PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await reads(home, store, file)
        assert not any(task.done() for task in uploads)
    assert await asyncio.gather(*uploads) == [200] * UPLOADS
    assert library.store.writes.unfinished == 0


async def test_indexes_that_are_slow_to_open_hold_up_no_other_search(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more vector stores than there are threads: an open one answers meanwhile, and so does every GET."""
    library = home.parts.library
    store, file = await default_store(home)
    await reads(home, store, file)
    cold = [await home.ingest(f"cold{i}", {"heron.txt": f"heron {i}"}) for i in range(8)]
    for each in cold:
        library.indexes.forget(each)
    gate, state = threading.Event(), library.store.changes.state

    def slow(store_id: str) -> Any:
        assert store_id not in cold or gate.wait(2 * PATIENCE)
        return state(store_id)

    monkeypatch.setattr(library.store.changes, "state", slow)
    opening = [asyncio.create_task(home.post(f"/v1/vector_stores/{each}/search", {"query": "heron"})) for each in cold]
    try:
        await until(lambda: library.indexes.openings.unfinished == len(cold), PATIENCE)
        async with asyncio.timeout(PATIENCE):
            await reads(home, store, file)
    finally:
        gate.set()
    assert {status for status, _ in await asyncio.gather(*opening)} == {200}
