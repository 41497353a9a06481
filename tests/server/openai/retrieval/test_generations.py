"""A whole server that is started with other settings than its data folder was made with."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from models.base import Embedder
from models.embedders.e5 import E5Embedder
from models.errors import Unavailable
from retrieval.passages.tokenize import Tokenizer
from retrieval.types import SearchParams
from tests.databases import old_data_folder
from tests.retrieval.ingest.fake_embedder import FakeEmbedder
from tests.server.house import ENGLISH, KOREAN, QUESTION, UNHURRIED, House, house
from tests.until import PATIENCE, until

QUESTIONS = (QUESTION, "How does the with statement close a file?", "lambda 7일 3000원")
Rankings = list[list[tuple[str, str, float]]]
SMALL = {"passage_tokens": 100, "passage_overlap": 0}


class Gated(FakeEmbedder):
    """Vectors of 16 dimensions; documents wait at the gate."""

    name = "another model"

    def __init__(self, *, open: bool = True) -> None:
        super().__init__()
        if not open:
            self.gate.clear()


async def ranked(home: House, store: str) -> Rankings:
    """Each question's passages with their scores."""
    return [await search(home, store, question) for question in QUESTIONS]


async def search(home: House, store: str, question: str) -> list[tuple[str, str, float]]:
    status, found = await home.post(f"/v1/vector_stores/{store}/search", {"query": question, "max_num_results": 20})
    assert status == 200, found
    return [(each["filename"], each["content"][0]["text"], each["score"]) for each in found["data"]]


async def generations(home: House) -> dict[str, dict[str, Any]]:
    """Of the store `shelf`, by their state."""
    found = (await home.get("/api/v1/generations"))[1]["data"]
    return {each["state"]: each for each in found if each["vector_store_name"] == "shelf"}


async def is_switched(home: House) -> bool:
    return "building" not in await generations(home)


async def is_whole(home: House) -> bool:
    return "degraded" not in (await home.get("/ready"))[1]


@pytest.fixture
async def shelf(tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> Path:
    """A data folder with a store of that name, made by e5 and cut as usual."""
    async with house(tmp_path / "data", embedder, tokenizer) as home:
        await home.ingest("shelf", KOREAN | ENGLISH)
    return tmp_path / "data"


@asynccontextmanager
async def watched(home: House, store: str, known: Callable[[int, Any], bool]) -> AsyncIterator[list[Any]]:
    """Searches all along; each must be `known`."""
    seen: list[Any] = []

    async def watch() -> None:
        at = 0
        while True:
            seen.append(await search(home, store, QUESTIONS[at % len(QUESTIONS)]))
            assert known(at % len(QUESTIONS), seen[-1]), seen[-1]
            at += 1

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
        ended = (await asyncio.gather(watching, return_exceptions=True))[0]
        assert isinstance(ended, asyncio.CancelledError), ended


@pytest.mark.parametrize("what", ["embedder", "cutting"])
async def test_every_search_is_of_one_generation_before_the_switch_after_it_and_after_going_back(
    shelf: Path, tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer, what: str
) -> None:
    other: Embedder = Gated() if what == "embedder" else embedder
    changed = {} if what == "embedder" else {"retrieval": {"min_score": 0.0, **UNHURRIED, **SMALL}}
    async with house(tmp_path / "fresh", other, tokenizer, **changed) as fresh:
        after = await ranked(fresh, await fresh.ingest("shelf", KOREAN | ENGLISH))
    async with house(shelf, embedder, tokenizer) as home:
        store = await home.ingest("shelf", {})
        before = await ranked(home, store)
    gated = Gated(open=False)
    waits = gated if what == "embedder" else embedder
    async with house(shelf, waits, tokenizer, other_embedder=lambda _: Shared(embedder), **changed) as home:
        async with watched(home, store, lambda at, found: found in (before[at], after[at])) as seen:
            if what == "embedder":
                await until(lambda: len(seen) > 6, PATIENCE)
                assert seen[0] == before[0]
                assert (await home.get("/ready"))[1]["degraded"] == [
                    "generations: vector stores being made anew for other settings, and found as they were: 1"
                ]
                gated.gate.set()
            await until(lambda: is_switched(home), PATIENCE)
            switched = len(seen)
            await until(lambda: len(seen) > switched + 6, PATIENCE)
        assert await ranked(home, store) == after
        await until(lambda: is_whole(home), PATIENCE)
        assert (await home.get("/api/v1/consistency"))[1] == {"consistent": True, "differences": []}
        kept = (await generations(home))["kept"]
        async with watched(home, store, lambda at, found: found in (before[at], after[at])):
            status, told = await home.post(f"/api/v1/generations/{kept['id']}/switch", {})
        assert (status, told["result"]) == (200, "switched")
        assert await ranked(home, store) == before
    async with house(shelf, waits, tokenizer, other_embedder=lambda _: Shared(embedder), **changed) as home:
        assert await ranked(home, store) == before, "the next start does not undo it"
        refused = (await generations(home))["refused"]
        async with home.http.delete(f"{home.url}/api/v1/generations/{refused['id']}") as response:
            assert (response.status, await response.json()) == (200, {"id": refused["id"], "deleted": True})
        assert list(await generations(home)) == ["found"]
        assert not (shelf / "indexes" / refused["id"]).exists()


class Shared:
    """The same embedder, which its borrower may close."""

    def __init__(self, embedder: E5Embedder) -> None:
        self._embedder = embedder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def close(self) -> None:
        pass


async def test_uploads_go_on_and_are_found_meanwhile_and_afterwards(
    shelf: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    gated = Gated(open=False)
    async with house(shelf, gated, tokenizer, other_embedder=lambda _: Shared(embedder)) as home:
        await gated.waiting.wait()
        store = await home.ingest("shelf", {"new.md": "# Quokka\n\nA quokka smiles at the ferry."})
        assert (await search(home, store, "quokka ferry"))[0][0] == "new.md"
        building = (await generations(home))["building"]
        assert (building["waiting"], building["files"]["completed"]) == (6, 0)
        assert building["made_by"]["dimensions"] == 16
        gated.gate.set()
        await until(lambda: is_switched(home), PATIENCE)
        assert {each[0] for each in await search(home, store, "quokka ferry")} >= {"new.md"}
        counts = (await home.openai.vector_stores.retrieve(store)).file_counts
        assert (counts.completed, counts.total) == (6, 6)


async def test_without_the_old_embedder_words_answer_and_uploads_wait(
    shelf: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    def none(name: str) -> Embedder:
        raise Unavailable(f"{name} is not installed")

    gated = Gated(open=False)
    async with house(shelf, gated, tokenizer, other_embedder=none) as home:
        store = await home.ingest("shelf", {})
        asked = {"query": "with statement", "ragpod": {"explain": True}}
        _, found = await home.post(f"/v1/vector_stores/{store}/search", asked)
        assert found["data"][0]["filename"] == "with.md"
        assert found["ragpod"]["degraded"][0].startswith(f"dense: vectors of {embedder.name}, which is not loaded here")
        assert (await home.get("/ready"))[1]["degraded"][0].startswith("embedder: not loaded")
        file = await home.openai.files.create(file=("new.md", b"A quokka."), purpose="assistants")
        await home.openai.vector_stores.files.create(vector_store_id=store, file_id=file.id)
        gated.gate.set()
        await until(lambda: is_switched(home), PATIENCE)
        ended = await home.openai.vector_stores.files.poll(file.id, vector_store_id=store, poll_interval_ms=20)
        assert ended.status == "completed"
        _, found = await home.post(f"/v1/vector_stores/{store}/search", asked)
        assert found["ragpod"]["degraded"] == []


async def test_stores_of_two_embedders_are_searched_together(
    shelf: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    gated = Gated(open=False)
    async with house(shelf, gated, tokenizer, other_embedder=lambda _: Shared(embedder)) as home:
        store = await home.ingest("shelf", {})
        gated.gate.set()
        await until(lambda: is_switched(home), PATIENCE)
        old = (await generations(home))["kept"]
        await home.post(f"/api/v1/generations/{old['id']}/switch", {})
        other = await home.ingest("other", {"quokka.md": "A quokka rides on a ferry with a file."})
        library = home.parts.library
        stores = [library.store.vector_stores.resolve("default", each) for each in (store, other)]
        assert len({each.space for each in stores}) == 2
        found = await library.retriever.search("default", stores, "quokka file with", SearchParams(min_score=0))
        scores = [each.score for each in found.evidence]
        assert scores == sorted(scores, reverse=True)
        assert {each.chunk.store_id for each in found.evidence} == {store, other}
        assert found.degraded == ()


@pytest.mark.parametrize("commit", ["42c3512", "cf3180e"])
async def test_a_data_folder_of_before_is_left_as_it_is_and_made_anew_where_that_is_wanted(
    commit: str, tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    folder = old_data_folder(tmp_path / "old", commit)
    shutil.copytree(folder, tmp_path / "changed")
    async with house(folder, embedder, tokenizer) as home:
        found = (await home.get("/api/v1/generations"))[1]["data"]
        assert {each["state"] for each in found} == {"found"}
    async with house(tmp_path / "changed", Gated(), tokenizer, other_embedder=lambda _: Shared(embedder)) as home:

        async def anew() -> bool:
            data = (await home.get("/api/v1/generations"))[1]["data"]
            return all(e["state"] != "building" and (e["state"] == "kept" or _is_new(e)) for e in data)

        await until(anew, PATIENCE)
        assert (await home.get("/api/v1/consistency"))[1]["consistent"]


def _is_new(generation: dict[str, Any]) -> bool:
    return generation["made_by"] is None or generation["made_by"]["dimensions"] == 16
