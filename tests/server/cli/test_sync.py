"""Folders that a store follows, over a real socket."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.cli.base.client import Client
from server.cli.base.connection import Where
from server.cli.base.terminal import CommandError
from server.cli.sync import Followed, run
from tests.server.house import House, house
from tests.until import PATIENCE, until

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def home(tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> AsyncIterator[House]:
    async with house(tmp_path / "data", embedder, tokenizer) as opened:
        yield opened


@pytest.fixture
async def client(home: House) -> AsyncIterator[Client]:
    async with Client.open(home.url, None, "default") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "문서"
    (made / "below").mkdir(parents=True)
    for name in ("a.md", "b.md", "below/c.md"):
        (made / name).write_text(f"# {name}\n\nThis is {name}.")
    return made


async def names(client: Client, store: str = "default") -> set[str]:
    return set((await client.files(await client.ensure_store(store))).values())


EVERY = {"문서/a.md", "문서/b.md", "문서/below/c.md"}


async def test_what_is_gone_from_the_folder_leaves_the_store_and_the_disk(client: Client, folder: Path) -> None:
    followed = Followed([folder], removes=True)
    assert await followed.follow(client, "default", as_json=False) == 0
    assert await names(client) == EVERY
    store_id = await client.ensure_store("default")
    (gone,) = [file_id for file_id, name in (await client.files(store_id)).items() if name == "문서/a.md"]
    other = await client.upload("elsewhere.md", b"# Elsewhere\n\nIt is of no folder.")
    await client.attach(store_id, other["id"])
    (folder / "a.md").unlink()
    (folder / "b.md").write_text("# b\n\nAnother text.")
    assert await followed.follow(client, "default", as_json=False) == 0
    assert await names(client) == EVERY - {"문서/a.md"} | {"elsewhere.md"}
    with pytest.raises(CommandError):
        await client._json("GET", f"/v1/files/{gone}")


async def test_a_file_that_another_store_has_leaves_this_one_alone(client: Client, folder: Path) -> None:
    await Followed([folder], removes=True).follow(client, "default", as_json=False)
    await Followed([folder], removes=True).follow(client, "other", as_json=False)
    (folder / "a.md").unlink()
    await Followed([folder], removes=True).follow(client, "default", as_json=False)
    assert (await names(client), await names(client, "other")) == (EVERY - {"문서/a.md"}, EVERY)
    found = await client.search(await client.store_id("other"), "This is a.md", 3)
    assert "문서/a.md" in [result["filename"] for result in found["data"]]


async def test_a_folder_that_lists_nothing_or_cannot_be_read_removes_nothing(
    client: Client, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = Followed([folder], removes=True)
    await followed.follow(client, "default", as_json=False)
    for name in EVERY:
        (folder.parent / name).unlink()
    assert await followed.follow(client, "default", as_json=False) == 1
    assert "nothing is removed" in capsys.readouterr().err
    assert await names(client) == EVERY
    (folder / "b.md").write_text("# b\n\nIt is back.")
    scandir = os.scandir

    def broken(path: str) -> object:
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", broken)
    assert await followed.follow(client, "default", as_json=False) == 1
    assert "Permission denied" in capsys.readouterr().err
    assert await names(client) == EVERY


async def test_without_sync_nothing_is_removed(client: Client, folder: Path) -> None:
    followed = Followed([folder], removes=False)
    await followed.follow(client, "default", as_json=False)
    (folder / "a.md").unlink()
    assert await followed.follow(client, "default", as_json=False) == 0
    assert await names(client) == EVERY


async def test_what_is_removed_is_told_as_json_too(
    client: Client, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    followed = Followed([folder], removes=True)
    await followed.follow(client, "default", as_json=True)
    (folder / "a.md").unlink()
    capsys.readouterr()
    await followed.follow(client, "default", as_json=True)
    assert capsys.readouterr().out == '{"name": "문서/a.md", "outcome": "removed"}\n'


async def test_a_failed_file_is_tried_again_and_stays(client: Client, folder: Path) -> None:
    (folder / "bad.md").write_bytes(b"\x00\x01\x02 no text")
    followed = Followed([folder], removes=True)
    assert await followed.follow(client, "default", as_json=False) == 1
    assert "문서/bad.md" not in followed.states
    assert set(followed.states) == EVERY


async def test_a_watched_folder_is_followed_until_the_command_ends(home: House, client: Client, folder: Path) -> None:
    watching = asyncio.create_task(run(Where(url=home.url), None, [folder], sync=True, watch=True, as_json=False))
    try:

        async def are(expected: set[str]) -> None:
            async def so() -> bool:
                return await names(client) == expected

            await until(so, PATIENCE)

        await are(EVERY)
        (folder / "below/d.md").write_text("# d\n\nThis is new.")
        (folder / "a.md").unlink()
        await are(EVERY - {"문서/a.md"} | {"문서/below/d.md"})
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def test_only_folders_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    with pytest.raises(CommandError, match="only folders"):
        await run(Where(), None, [tmp_path / "a.md"], sync=True, watch=False, as_json=False)
