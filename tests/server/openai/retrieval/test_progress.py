"""How far an ingest is, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from server.access.keys import DEFAULT_OWNER
from server.openai.retrieval import progress
from tests.server.house import House
from tests.until import PATIENCE


def events(text: str) -> list[tuple[int, str, dict[str, Any]]]:
    """(id, event, data) of each block that is no comment."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((int(fields["id"]), fields["event"], orjson.loads(fields["data"])))
    return found


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS", 0.02)


async def filled(home: House, count: int) -> str:
    """A vector store with so many files in progress."""
    store = await home.openai.vector_stores.create(name="progress")
    ids = []
    for i in range(count):
        file = (f"{i}.txt", f"Text number {i} is about something.".encode())
        ids.append((await home.openai.files.create(file=file, purpose="assistants")).id)
    await home.openai.vector_stores.file_batches.create(store.id, file_ids=ids)
    return store.id


async def test_progress_is_told_until_nothing_is_in_progress(home: House) -> None:
    path = f"{home.url}/api/v1/vector_stores/{await filled(home, 6)}/progress"
    async with home.http.get(path) as response:
        assert response.content_type == "text/event-stream"
        told = events(await response.text())
    assert [number for number, _, _ in told] == list(range(1, len(told) + 1))
    assert [name for _, name, _ in told] == ["progress"] * (len(told) - 1) + ["done"]
    last = told[-1][2]
    assert last["files"] == {"in_progress": 0, "completed": 6, "failed": 0, "cancelled": 0, "total": 6}
    assert last["passages"] == last["passages_known"] == 6
    async with home.http.get(path, headers={"Last-Event-ID": str(len(told))}) as response:
        assert response.status == 204, "an EventSource that comes back is told to stop"


async def test_an_idle_store_is_told_once_and_an_unknown_one_is_not_found(home: House) -> None:
    store = await home.openai.vector_stores.create(name="idle")
    async with home.http.get(f"{home.url}/api/v1/vector_stores/{store.id}/progress") as response:
        assert [name for _, name, _ in events(await response.text())] == ["done"]
    assert (await home.get("/api/v1/vector_stores/vs_unknown/progress"))[0] == 404


async def test_a_reader_that_leaves_ends_the_looking(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is put up where no worker hears of it, so it stays in progress."""
    store, left = home.parts.library.store, asyncio.Event()
    store_id = (await home.openai.vector_stores.create(name="left")).id
    file = await home.openai.files.create(file=("a.txt", b"alpha"), purpose="assistants")
    await store.writes.run(store.attachments.attach, DEFAULT_OWNER, store_id, file.id)
    events_of = progress._events

    async def watched(*arguments: Any) -> AsyncIterator[bytes]:
        try:
            async for frame in events_of(*arguments):
                yield frame
        finally:
            left.set()

    monkeypatch.setattr(progress, "_events", watched)
    async with home.http.get(f"{home.url}/api/v1/vector_stores/{store_id}/progress") as response:
        await response.content.readany()
        assert not left.is_set()
    await asyncio.wait_for(left.wait(), PATIENCE)
