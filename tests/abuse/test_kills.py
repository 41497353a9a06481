"""kill -9 at every stage of an ingest, a delete, a rebuild and an answer: a real process each time, started again on
the same folder, and what it then has compared with what was acknowledged.

One chain: each start finds what the kill before it has left, shows that it is whole, and is killed at the next stage.
A stage is the beginning or the end of a function (killed.py): no moment is a matter of luck.
"""

import asyncio
import io
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.server.app.process import process, ready
from tests.stub_engine import Finish, Hold, StubEngine
from tests.until import PATIENCE, until

pytestmark = pytest.mark.slow
PROGRAM = "import runpy; runpy.run_module('tests.abuse.killed', run_name='__main__')"
VERSIONS, PUBLISHING = "retrieval.store.versions.Versions", "retrieval.store.publishing.Publishing"
INGEST = [
    f"after {VERSIONS}.claim_embedder",
    f"after {VERSIONS}.add_documents",
    f"before {VERSIONS}.save_vectors",
    f"before {PUBLISHING}.publish",
    f"after {PUBLISHING}.publish",
    f"before {PUBLISHING}.complete",
]
DELETE = [
    "after retrieval.store.files.let_go",  # not committed: nothing has happened
    "before retrieval.store.files.remove_file_step",
    "after retrieval.store.base.removal.log_left",
    "after retrieval.store.files.Files.delete",
]
REBUILD = [
    "after retrieval.indexes.follow.IndexFolder.open",
    "after retrieval.indexes.follow.IndexFolder._catch_up",  # of the first one of them
    "after retrieval.indexes.follow.IndexFolder.catch_up",
]
ANSWER = [
    "before retrieval.ranking.search.Retriever.search",
    "before server.records.turns.Turns.end",
]
WRITING = "while the engine writes"
STAGES = [*INGEST, *DELETE, *REBUILD, *ANSWER, WRITING]
SOME = [INGEST[4], DELETE[2], REBUILD[1], WRITING]


@dataclass
class Kept:
    """What was acknowledged. files: id -> its own word, and its text. asked: questions whose answers were killed."""

    store: str = ""
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    words: int = 0


@dataclass(frozen=True)
class Running:
    child: asyncio.subprocess.Process
    url: str
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, **given: Any) -> tuple[int, Any]:
        async with self.http.request(method, self.url + path, **given) as response:
            return response.status, await response.json()

    async def dies(self, method: str, path: str, **given: Any) -> None:
        """Whatever the caller is told, the process is dead by its own hand."""
        with suppress(aiohttp.ClientError):
            await self.call(method, path, **given)
        assert await asyncio.wait_for(self.child.wait(), PATIENCE) == -signal.SIGKILL


@asynccontextmanager
async def started(data: Path, stub: StubEngine, stage: str = "") -> AsyncIterator[Running]:
    settings = {"RAGPOD_PARSING_WORKERS": "0", "KILLED_AT": stage, "ARMED": str(armed(data))}
    async with process(data, stub, settings, program=PROGRAM) as (child, url), aiohttp.ClientSession() as http:
        with suppress(aiohttp.ClientError):  # it may have come to its stage by itself
            await ready(http, url)
        yield Running(child, url, http)


def armed(data: Path) -> Path:
    return data.parent / "armed"


async def upload(server: Running, kept: Kept) -> dict[str, Any]:
    """A new file, with a word that no other one has."""
    kept.words += 1
    word = f"word{chr(ord('a') + kept.words)}end"  # no other one begins like it
    text = f"# {word}\n\nThe {word} stands in the grove, and nowhere else.\n"
    form = aiohttp.FormData({"purpose": "assistants"})
    form.add_field("file", io.BytesIO(text.encode()), filename=f"{word}.md")
    status, file = await server.call("POST", "/v1/files", data=form)
    assert status == 200
    kept.files[file["id"]] = (word, text)
    return {"file_id": file["id"]}


async def assert_whole(server: Running, kept: Kept, data: Path) -> None:
    """Nothing lost, nothing twice, nothing back from the dead."""
    listing = f"/v1/vector_stores/{kept.store}/files?limit=100"

    async def settled() -> bool:
        _, page = await server.call("GET", listing)
        assert not [each for each in page["data"] if each["status"] == "failed"], page
        return all(each["status"] == "completed" for each in page["data"])

    await until(settled, PATIENCE)
    _, page = await server.call("GET", listing)
    assert sorted(each["id"] for each in page["data"]) == sorted(kept.files)
    for file_id, (word, text) in kept.files.items():
        async with server.http.get(f"{server.url}/v1/files/{file_id}/content") as response:
            assert (response.status, await response.text()) == (200, text)
        assert await found(server, kept, word) == [f"{word}.md"]
    for file_id, word in kept.gone.items():
        assert (await server.call("GET", f"/v1/files/{file_id}"))[0] == 404
        assert await found(server, kept, word) == []
    turns = await asyncio.to_thread(stored_turns, data)
    assert [turns.get(question) for question in kept.asked] == [["interrupted"]] * len(kept.asked)


async def found(server: Running, kept: Kept, word: str) -> list[str]:
    """The files of the passages that have the word."""
    _, told = await server.call("POST", f"/v1/vector_stores/{kept.store}/search", json={"query": word})
    return [each["filename"] for each in told["data"] if word in str(each["content"])]


def stored_turns(data: Path) -> dict[str, list[str]]:
    """Question -> the status of each turn of it."""
    kept: dict[str, list[str]] = {}
    with closing(sqlite3.connect(data / "turns.db")) as db:
        for (row,) in db.execute("SELECT turn FROM turns"):
            turn = orjson.loads(row)
            kept.setdefault(turn["question"], []).append(turn["status"])
    return kept


async def kill(server: Running, stage: str, kept: Kept, stub: StubEngine, data: Path) -> None:
    """By what the stage is a part of."""
    if stage in INGEST:
        body = await upload(server, kept)
        await server.dies("POST", f"/v1/vector_stores/{kept.store}/files", json=body)
    elif stage in DELETE:
        file_id = next(iter(kept.files))
        await server.dies("DELETE", f"/v1/files/{file_id}")
        if stage != DELETE[0]:
            kept.gone[file_id] = kept.files.pop(file_id)[0]
    elif stage in REBUILD:  # of indexes that are not there, for the first search that wants them
        await server.dies("POST", f"/v1/vector_stores/{kept.store}/search", json={"query": "grove"})
    else:
        question = f"Where is the grove, said {stage}?"
        kept.asked.append(question)
        body = {"model": "ragpod:woods", "messages": [{"role": "user", "content": question}]}
        if stage == WRITING:
            asking = asyncio.create_task(server.dies("POST", "/v1/chat/completions", json=body))
            await stub.started()
            await until(lambda: question in stored_turns(data), PATIENCE)
            server.child.kill()
            await asking
        else:
            await server.dies("POST", "/v1/chat/completions", json=body)
            if stage == ANSWER[0] and question not in await asyncio.to_thread(stored_turns, data):
                kept.asked.pop()  # its turn is begun beside the search: the kill came first


@pytest.mark.parametrize(
    "stages", [pytest.param(SOME, id="some"), pytest.param(STAGES, id="every", marks=pytest.mark.heavy)]
)
async def test_a_kill_at_any_stage_loses_doubles_and_revives_nothing(tmp_path: Path, stages: list[str]) -> None:
    data, kept = tmp_path / "data", Kept()
    async with StubEngine() as stub:
        async with started(data, stub) as server:
            _, store = await server.call("POST", "/v1/vector_stores", json={"name": "woods"})
            kept.store = store["id"]
            for _ in DELETE:
                await server.call("POST", f"/v1/vector_stores/{kept.store}/files", json=await upload(server, kept))
            await assert_whole(server, kept, data)
        for stage in stages:
            if stage in REBUILD:
                shutil.rmtree(data / "indexes")
                armed(data).touch()
            stub.script("Half an ", *([Hold()] if stage == WRITING else []), "answer [1].", Finish())
            async with started(data, stub, "" if stage == WRITING else stage) as server:
                if stage not in REBUILD:
                    await assert_whole(server, kept, data)
                    armed(data).touch()
                await kill(server, stage, kept, stub, data)
            armed(data).unlink()
        async with started(data, stub) as server:
            await assert_whole(server, kept, data)
