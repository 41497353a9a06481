"""A disk that fills at random moments of uploads, searches, answers and deletes, and now and then at a start.

Whatever it is full of: no 500, nothing that was acknowledged is lost or comes back, and with room all is as before.
"""

import asyncio
import io
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import House, house
from tests.small_disk import Filling, filling
from tests.stub_engine import Finish
from tests.until import PATIENCE, until

DISK, RESERVE = 48 << 20, 4 << 20
CLIENTS, ACTIONS = 3, 5  # at once, and of each at every moment
ALLOWED = {200, 503, 507}
FIRST = {"first.md": "# First\n\nAmber and birch stand in a grove."}
WORDS = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty"]


@dataclass
class Kept:
    """What the server has acknowledged. files: name -> id and content. gone: ids whose delete was acknowledged."""

    store: str = ""
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    attached: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    statuses: list[tuple[str, int]] = field(default_factory=list)
    done: int = 0


class Client:
    """Does what people do, and writes down what it was told."""

    def __init__(self, home: House, kept: Kept, chance: random.Random, name: str) -> None:
        self._home, self._kept, self._chance, self._name = home, kept, chance, name
        self._count = 0

    async def act(self) -> None:
        for _ in range(ACTIONS):
            await self._chance.choice((self._upload, self._upload, self._search, self._answer, self._delete))()
            self._kept.done += 1

    async def _call(self, method: str, path: str, **given: Any) -> dict[str, Any] | None:
        async with self._home.http.request(method, self._home.url + path, **given) as response:
            told: dict[str, Any] = await response.json()
            self._kept.statuses.append((f"{method} {path}", response.status))
            assert response.status == 200 or told["error"]["code"] in ("store_full", "store_unavailable"), told
            return told if response.status == 200 else None

    async def _upload(self) -> None:
        self._count += 1
        name = f"{self._name}-{self._count}.md"
        words = " ".join(self._chance.choices(WORDS, k=self._chance.choice((20, 500, 20_000))))
        form = aiohttp.FormData({"purpose": "assistants"})
        form.add_field("file", io.BytesIO(f"# {name}\n\n{words}".encode()), filename=name)
        if (file := await self._call("POST", "/v1/files", data=form)) is None:
            return
        self._kept.files[name] = (file["id"], f"# {name}\n\n{words}")
        if len(words) < 50_000:  # those are embedded soon
            body = {"file_id": file["id"]}
            if await self._call("POST", f"/v1/vector_stores/{self._kept.store}/files", json=body) is not None:
                self._kept.attached.add(name)

    async def _search(self) -> None:
        body = {"query": self._chance.choice(WORDS)}
        await self._call("POST", f"/v1/vector_stores/{self._kept.store}/search", json=body)

    async def _answer(self) -> None:
        path, body = self._chance.choice(
            (
                ("/v1/responses", {"model": "ragpod:woods", "input": "amber"}),
                ("/v1/chat/completions", {"model": "ragpod:woods", "messages": [{"role": "user", "content": "birch"}]}),
            )
        )
        told = await self._call("POST", path, json=body)
        assert told is not None, "an answer is given whatever the disk is full of"
        trace_id, kept = told["ragpod"]["trace_id"], "not_stored" not in told["ragpod"]["degraded"]
        found = await self._home.get(f"/api/v1/traces/{trace_id}")
        assert (found[0] == 200 and found[1]["status"] == "complete") or not kept

    async def _delete(self) -> None:
        """Of its own files: then nobody else deletes it at the same time."""
        if own := sorted(name for name in self._kept.files if name.startswith(f"{self._name}-")):
            name = self._chance.choice(own)
            file_id = self._kept.files[name][0]
            if await self._call("DELETE", f"/v1/files/{file_id}") is not None:
                del self._kept.files[name]
                self._kept.attached.discard(name)
                self._kept.gone.add(file_id)


async def moment(home: House, disk: Filling, kept: Kept, chance: random.Random, number: int) -> None:
    """The disk fills after some of the actions, up to some of its last bytes."""
    clients = [Client(home, kept, random.Random(chance.random()), f"{number}.{i}") for i in range(CLIENTS)]
    after, but = kept.done + chance.randrange(CLIENTS * ACTIONS), chance.choice((0, 0, 5_000, 50_000, 500_000))
    acting = asyncio.gather(*(client.act() for client in clients))
    await until(lambda: kept.done >= after or acting.done(), PATIENCE)
    await asyncio.to_thread(disk.fill, but)
    await acting


async def assert_whole(home: House, kept: Kept) -> None:
    """With room again: by itself."""
    library = home.parts.library
    await until(lambda: all_settled(home, kept), PATIENCE)
    for file_id, content in kept.files.values():
        async with home.http.get(f"{home.url}/v1/files/{file_id}/content") as response:
            assert (response.status, (await response.read()).decode()) == (200, content)
    for file_id in kept.gone:
        assert (await home.get(f"/v1/files/{file_id}"))[0] == 404
    assert await asyncio.to_thread(library.indexes.check) == []
    assert not [each for each in kept.statuses if each[1] not in ALLOWED]


async def all_settled(home: House, kept: Kept) -> bool:
    page = await asyncio.to_thread(home.parts.library.store.attachments.page, "default", kept.store, limit=1000)
    assert {each.filename for each in page.items} >= kept.attached
    assert all(each.status in ("in_progress", "completed") for each in page.items)
    return all(each.status == "completed" for each in page.items)


@pytest.mark.parametrize(
    "moments",
    [pytest.param(2, id="some"), pytest.param(20, id="many", marks=[pytest.mark.heavy, pytest.mark.slow])],
)
@pytest.mark.parametrize("mounted", [True, False], ids=["tmpfs", "RLIMIT_FSIZE"])
async def test_nothing_is_lost_and_nothing_fails_otherwise_on_a_disk_that_fills(
    tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer, moments: int, mounted: bool
) -> None:
    chance, kept, folder = random.Random(7), Kept(), tmp_path / "disk"
    with filling(folder, DISK, mounted=mounted) as disk:
        for first in range(0, moments, 3):
            numbers = range(first, min(first + 3, moments))
            if not mounted:
                disk.empty()  # what is set aside for a start makes no file larger
            async with opened(folder, embedder, tokenizer) as home:  # the disk is full, but for the first time
                kept.store = kept.store or await home.ingest("woods", FIRST)
                for number in numbers:
                    await asyncio.to_thread(disk.empty)
                    await assert_whole(home, kept)
                    await moment(home, disk, kept, chance, number)
        await asyncio.to_thread(disk.empty)
        async with opened(folder, embedder, tokenizer) as home:
            await assert_whole(home, kept)
    assert kept.done == moments * CLIENTS * ACTIONS
    refused = {507} if mounted else {503, 507}  # there is room on the disk: SQLite only says that it could not write
    assert any(status in refused for _, status in kept.statuses)


@asynccontextmanager
async def opened(folder: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> AsyncIterator[House]:
    async with house(folder / "data", embedder, tokenizer, store={"reserve_bytes": RESERVE}) as home:
        home.stub.script("Trees [1].", Finish())
        yield home
