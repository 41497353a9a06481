"""The server on a disk without room: answers are given, searches go on, deleting makes room, and all is as before."""

import asyncio
import io
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import ENGLISH, House, house
from tests.small_disk import disk, full
from tests.stub_engine import Finish
from tests.until import PATIENCE, until

QUESTION = "What does a lambda expression create?"
SAID = "An anonymous function [1]."
MESSAGES = [{"role": "user", "content": QUESTION}]
# path, body, where its `degraded` is
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "ragpod:python", "messages": MESSAGES}),
    "responses": ("/v1/responses", {"model": "ragpod:python", "input": QUESTION}),
    "backend": ("/api/v1/chat", {"question": QUESTION}),
}
STREAMS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "backend": "/api/v1/chat/stream",
}
SMALL = {"reserve_bytes": 2 << 20}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with disk(tmp_path / "disk", 32 << 20) as mounted:
        yield mounted


@pytest.fixture
async def home(folder: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> AsyncIterator[House]:
    async with house(folder / "data", embedder, tokenizer, store=SMALL) as opened:
        await opened.ingest("python", ENGLISH)
        await opened.ingest("default", ENGLISH)
        opened.stub.script(SAID, Finish())
        yield opened


async def upload(home: House, name: str, text: str) -> tuple[int, dict[str, Any]]:
    form = aiohttp.FormData({"purpose": "assistants"})
    form.add_field("file", io.BytesIO(text.encode()), filename=name)
    async with home.http.post(f"{home.url}/v1/files", data=form) as response:
        return response.status, await response.json()


async def delete(home: House, path: str) -> int:
    async with home.http.delete(home.url + path) as response:
        return response.status


async def store_of(home: House, name: str) -> str:
    _, listed = await home.get("/v1/vector_stores")
    return next(store["id"] for store in listed["data"] if store["name"] == name)


async def counted(home: House, line: str) -> float:
    async with home.http.get(f"{home.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    return next((float(each.rpartition(" ")[2]) for each in lines if each.startswith(line)), 0.0)


def degraded(told: dict[str, Any]) -> list[str]:
    found: list[str] = (told.get("ragpod") or told["metadata"])["degraded"]
    return found


@pytest.mark.parametrize("route", ROUTES)
async def test_an_answer_is_given_whole_and_says_that_it_is_not_kept(home: House, folder: Path, route: str) -> None:
    path, body = ROUTES[route]
    with full(folder):
        status, told = await home.post(path, body)
        assert (status, degraded(told)) == (200, ["not_stored"])
        assert SAID in str(told)
        assert (await home.get(f"/api/v1/traces/{(told.get('ragpod') or told['metadata'])['trace_id']}"))[0] == 404
        if route == "responses":
            assert (await home.get(f"/v1/responses/{told['id']}"))[0] == 404
    assert await counted(home, 'ragpod_answers_total{status="complete"}') == 1
    assert await counted(home, 'ragpod_degraded_total{part="not_stored"}') == 1
    status, told = await home.post(path, body)
    assert (status, degraded(told)) == (200, [])
    assert (await home.get(f"/api/v1/traces/{(told.get('ragpod') or told['metadata'])['trace_id']}"))[0] == 200


@pytest.mark.parametrize("route", STREAMS)
async def test_a_stream_is_whole_and_its_last_event_says_that_it_is_not_kept(
    home: House, folder: Path, route: str
) -> None:
    body = ROUTES[route][1] | ({} if route == "backend" else {"stream": True})
    with full(folder):
        events = await home.stream(STREAMS[route], body)
    last = events[-1]
    assert degraded(last["response"] if route == "responses" else last) == ["not_stored"]
    if route == "responses":
        assert (last["type"], last["response"]["output"][-1]["content"][0]["text"]) == ("response.completed", SAID)
        numbers = [event["sequence_number"] for event in events]
        assert numbers == list(range(len(events)))


async def test_uploads_are_refused_with_507_and_deleting_makes_room_for_them(home: House, folder: Path) -> None:
    large = "A generator yields its values one by one.\n" * 20_000
    status, file = await upload(home, "large.md", large)
    assert status == 200
    with full(folder):
        status, told = await upload(home, "more.md", large + "more")
        assert (status, told["error"]["code"], told["error"]["type"]) == (507, "store_full", "server_error")
        assert await delete(home, f"/v1/files/{file['id']}") == 200
        assert (await home.get(f"/v1/files/{file['id']}"))[0] == 404
        assert not any((folder / "data" / "blobs").rglob(file["id"]))
        python = await store_of(home, "python")
        assert await delete(home, f"/v1/vector_stores/{python}") == 200
        assert (await home.get(f"/v1/vector_stores/{python}"))[0] == 404
    assert (await upload(home, "more.md", large + "more"))[0] == 200
    assert not home.parts.library.store.database.short_of_room


async def test_an_upload_that_does_not_fit_where_bodies_are_put_away_is_refused_with_507(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk(tmp_path / "tmp", 1 << 20) as small:
        monkeypatch.setattr("tempfile.tempdir", str(small))
        status, told = await upload(home, "large.bin", "x" * (3 << 20))
    assert (status, told["error"]["code"]) == (507, "store_full")


async def test_a_search_says_how_far_its_index_is_behind(
    tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    (tmp_path / "data").mkdir()
    with disk(tmp_path / "data" / "indexes", 4 << 20) as indexes:
        async with house(tmp_path / "data", embedder, tokenizer) as home:
            await home.ingest("python", ENGLISH)
            python, library = await store_of(home, "python"), home.parts.library
            search = f"/v1/vector_stores/{python}/search", {"query": "generator"}
            assert (await home.post(*search))[0] == 200
            _, file = await upload(home, "generator.md", "# Generators\n\nA generator yields values.")
            with full(indexes):
                await home.post(f"/v1/vector_stores/{python}/files", {"file_id": file["id"]})
                await until(lambda: library.indexes.behind(python, len(ENGLISH) + 1) == 1, PATIENCE)
                status, told = await home.post(*search)
                assert (status, len(told["data"])) == (200, len(ENGLISH) + 1)
                assert told["ragpod"]["degraded"] == ["index: 1 changes behind; it cannot be written at present"]
                _, attached = await home.get(f"/v1/vector_stores/{python}/files/{file['id']}")
                assert attached["status"] == "in_progress"
            await asyncio.to_thread(library.indexes.refresh, python)
            _, told = await home.post(*search)
            assert (told["data"][0]["filename"], told["ragpod"]["degraded"]) == ("generator.md", [])


async def test_a_search_whose_indexes_were_never_written_is_503_that_says_what_to_do_and_then_works(
    tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    (tmp_path / "data").mkdir()
    with disk(tmp_path / "data" / "indexes", 4 << 20) as indexes:
        async with house(tmp_path / "data", embedder, tokenizer) as home:
            python = await home.ingest("python", ENGLISH)
            home.parts.library.indexes.forget(python)
            search = f"/v1/vector_stores/{python}/search", {"query": "lambda"}
            with full(indexes):
                async with home.http.post(home.url + search[0], json=search[1]) as response:
                    told = await response.json()
                assert (response.status, "Retry-After" in response.headers) == (503, True)
                assert "delete files or free the disk" in told["error"]["message"]
            status, told = await home.post(*search)
            assert (status, len(told["data"])) == (200, len(ENGLISH))


async def test_it_starts_on_a_full_disk_and_recovers_by_itself(
    folder: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(folder / "data", embedder, tokenizer, store=SMALL) as home:
        await home.ingest("python", ENGLISH)
    with full(folder):
        async with house(folder / "data", embedder, tokenizer, store=SMALL) as home:
            home.stub.script(SAID, Finish())
            path, body = ROUTES["chat"]
            status, told = await home.post(path, body)
            assert (status, degraded(told)) == (200, ["not_stored"])
            assert (await upload(home, "more.md", "more"))[0] == 507
    async with house(folder / "data", embedder, tokenizer, store=SMALL) as home:
        assert (await upload(home, "more.md", "more"))[0] == 200
        assert await asyncio.to_thread(home.parts.library.indexes.check) == []


async def test_it_starts_on_a_full_disk_where_an_earlier_start_left_files_in_progress(
    folder: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(folder / "data", embedder, tokenizer, store=SMALL) as home:
        python = await home.ingest("python", ENGLISH)
        _, file = await upload(home, "generator.md", "# Generators\n\nA generator yields values.")
        await home.parts.library.ingestor.aclose()
        await home.post(f"/v1/vector_stores/{python}/files", {"file_id": file["id"]})
    with closing(sqlite3.connect(folder / "data" / "ragpod.db")) as database:  # as it stands after a kill
        left = "UPDATE store_files SET leased_by = ?, lease_until = 1e12 WHERE status = 'in_progress'"
        assert database.execute(left, consumer(folder)).rowcount == 1
        database.commit()
    with full(folder, but=80_000):  # the reserve was used up before: enough to open both databases, not to write
        async with house(folder / "data", embedder, tokenizer, store={"reserve_bytes": 0}) as home:
            assert (await home.get("/health"))[0] == 200
    async with house(folder / "data", embedder, tokenizer, store=SMALL) as home:
        await until(lambda: is_completed(home, python, file["id"]), PATIENCE)


def consumer(folder: Path) -> tuple[str]:
    return ((folder / "data" / "consumer").read_text(),)


async def is_completed(home: House, store: str, file: str) -> bool:
    return bool((await home.get(f"/v1/vector_stores/{store}/files/{file}"))[1]["status"] == "completed")
