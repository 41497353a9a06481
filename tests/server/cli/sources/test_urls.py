"""A list of URLs that a store follows: a real site, a real server, real sockets between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.cli.base.client import Client
from server.cli.base.connection import Where
from server.cli.base.terminal import CommandError
from server.cli.sources.fetching import Limits
from server.cli.sources.following import Followed
from server.cli.sources.urls import UrlList
from server.cli.sync import Elsewhere, run
from server.outgoing.addresses import Allowed
from tests.server.cli.sources.site import Page, Site, endless, html, site
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
async def web_site() -> AsyncIterator[Site]:
    async with site() as made:
        made.pages |= {
            "/a": html("Lambdas", "A lambda expression creates an anonymous function.", etag='"a1"'),
            "/b": html(
                "With", "The with statement closes a file.", **{"Last-Modified": "Sat, 28 Nov 2026 10:00:00 GMT"}
            ),
            "/c.md": Page("# 배송\n\n배송은 이틀 걸립니다.", headers={"Content-Type": "text/plain"}, etag='"c1"'),
        }
        yield made


class Listed:
    """A list of URLs beside the site: `follow` is one run of the command."""

    def __init__(self, path: Path, web_site: Site, client: Client) -> None:
        self.path, self.site, self.client = path, web_site, client
        self.write("/a", "/b", "/c.md")

    def write(self, *paths: str) -> None:
        self.path.write_text("\n".join(["# pages", *map(self.site.url, paths), ""]))

    async def follow(self, *, removes: bool = True) -> int:
        source = UrlList(self.path, allowed=Allowed(["127.0.0.1"]), limits=Limits(1 << 20, PATIENCE), delay=0.0)
        self.site.seen.clear()
        return await Followed(source, removes).follow(self.client, "default", as_json=False)

    async def held(self) -> dict[str, str]:
        """The path of a page -> its file's id."""
        files = await self.client.attached_all(await self.client.ensure_store("default"))
        return {file["attributes"]["url"].removeprefix(self.site.url("")): file["id"] for file in files}

    async def text(self, path: str) -> str:
        store_id = await self.client.ensure_store("default")
        found = await self.client._json(
            "GET", f"/v1/vector_stores/{store_id}/files/{(await self.held())[path]}/content"
        )
        return "\n".join(part["text"] for part in found["data"])


@pytest.fixture
def listed(tmp_path: Path, web_site: Site, client: Client) -> Listed:
    return Listed(tmp_path / "pages.txt", web_site, client)


async def test_pages_come_with_their_titles_names_and_addresses(
    listed: Listed, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await listed.follow() == 0
    assert "3 added" in capsys.readouterr().out
    store_id = await client.ensure_store("default")
    names = set((await client.files(store_id)).values())
    assert names == {f"127.0.0.1:{listed.site.port}/{name}" for name in ("a", "b", "c.md")}
    found = (await client.search(store_id, "anonymous function", 1))["data"][0]
    assert (found["title"], found["url"]) == ("Lambdas", listed.site.url("/a"))


async def test_what_is_unchanged_is_not_sent_again_also_by_another_run(
    listed: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    await listed.follow()
    held = await listed.held()
    assert await listed.follow() == 0
    assert sorted(listed.site.seen) == ["/a 304", "/b 304", "/c.md 304", "/robots.txt 404"]
    assert "3 unchanged" in capsys.readouterr().out
    assert await listed.held() == held


async def test_a_changed_page_replaces_its_old_version_and_the_same_bytes_change_nothing(
    listed: Listed, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    await listed.follow()
    before = await listed.held()
    listed.site.pages["/a"] = html("Lambdas", "A lambda is a small function.", etag='"a2"')
    listed.site.pages["/c.md"] = Page("# 배송\n\n배송은 이틀 걸립니다.", etag='"c2"')
    capsys.readouterr()
    assert await listed.follow() == 0
    assert "1 changed, 2 unchanged" in capsys.readouterr().out
    after = await listed.held()
    assert (after["/b"], after["/c.md"]) == (before["/b"], before["/c.md"])
    assert "small function" in await listed.text("/a")
    with pytest.raises(CommandError):
        await client._json("GET", f"/v1/files/{before['/a']}")
    await listed.follow()
    assert sorted(listed.site.seen) == ["/a 304", "/b 304", "/c.md 304", "/robots.txt 404"]


async def test_what_is_listed_no_more_or_gone_leaves_and_what_fails_stays(
    listed: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    await listed.follow()
    listed.write("/b", "/c.md", "/never")
    listed.site.pages["/b"] = Page(status=410)
    listed.site.pages["/c.md"] = Page(status=403)
    assert await listed.follow() == 1
    told = capsys.readouterr().out
    assert f"removed    {listed.site.url('/a')}" in told
    assert f"removed    {listed.site.url('/b')}" in told
    assert "/c.md: HTTP 403" in told
    assert "/never: HTTP 404" in told
    assert set(await listed.held()) == {"/c.md"}


async def test_without_sync_nothing_leaves(listed: Listed) -> None:
    await listed.follow()
    listed.write("/b")
    listed.site.pages["/b"] = Page(status=404)
    assert await listed.follow(removes=False) == 0
    assert set(await listed.held()) == {"/a", "/b", "/c.md"}


async def test_a_list_without_a_line_and_a_host_without_a_page_remove_nothing(
    listed: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    await listed.follow()
    pages = dict(listed.site.pages)
    listed.site.pages.clear()
    assert await listed.follow() == 1
    assert "are gone at once" in capsys.readouterr().err
    listed.write()
    assert await listed.follow() == 1
    assert "lists nothing" in capsys.readouterr().err
    listed.path.unlink()
    with pytest.raises(CommandError, match=r"pages\.txt"):
        await listed.follow()
    assert set(await listed.held()) == {"/a", "/b", "/c.md"}
    listed.site.pages |= pages
    listed.write("/a", "/b", "/c.md")
    assert await listed.follow() == 0
    assert len(await listed.held()) == 3


async def test_a_new_version_that_cannot_be_read_leaves_the_old_one_to_be_found(listed: Listed, client: Client) -> None:
    await listed.follow()
    good = listed.site.pages["/a"]
    listed.site.pages["/a"] = Page(b"%PDF-1.7 broken", headers={"Content-Type": "application/pdf"}, etag='"a2"')
    for _ in range(2):  # it is tried again, not taken for known
        assert await listed.follow() == 1
        assert "/a 200" in listed.site.seen
    found = (await client.search(await client.ensure_store("default"), "anonymous function", 1))["data"][0]
    assert found["title"] == "Lambdas"
    listed.site.pages["/a"] = good
    assert await listed.follow() == 0
    assert len(await client.files(await client.ensure_store("default"))) == 3


async def test_a_site_that_fails_half_of_the_time_loses_nothing(listed: Listed) -> None:
    paths = [f"/page{number}" for number in range(12)]
    asked = dict.fromkeys(paths, 0)

    def flaky(path: str) -> None:
        async def answer(request: web.Request) -> web.Response:
            asked[path] += 1
            if (asked[path] + len(path)) % 2:
                return web.Response(status=403)
            return web.Response(text=f"# {path}\n\nThe text of {path}.", headers={"ETag": f'"{path}"'})

        listed.site.pages[path] = answer

    for path in paths:
        flaky(path)
    listed.write(*paths)
    codes = [await listed.follow() for _ in range(2)]
    assert codes == [1, 1]  # half of them each time, and all of them are there
    assert set(await listed.held()) == set(paths)


async def test_one_request_at_a_time_goes_to_a_host(listed: Listed) -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.02)
        return web.Response(text=f"text of {request.path}")

    paths = [f"/slow{number}" for number in range(6)]
    listed.site.pages |= dict.fromkeys(paths, slow)
    listed.write(*paths)
    assert await listed.follow() == 0
    assert listed.site.most_at_once["all"] == 1


async def test_a_run_that_is_broken_off_goes_on_where_it_was(listed: Listed) -> None:
    hanging = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        hanging.set()
        await asyncio.sleep(PATIENCE)
        return web.Response(text="never")

    listed.site.pages["/c.md"], good = hang, listed.site.pages["/c.md"]
    first = asyncio.create_task(listed.follow())
    await asyncio.wait_for(hanging.wait(), PATIENCE)

    async def two_are_there() -> bool:
        return len(await listed.client.attached_all(await listed.client.ensure_store("default"), "completed")) == 2

    await until(two_are_there, PATIENCE)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    assert set(await listed.held()) == {"/a", "/b"}
    listed.site.pages["/c.md"] = good
    assert await listed.follow() == 0
    assert sorted(listed.site.seen) == ["/a 304", "/b 304", "/c.md 200", "/robots.txt 404"]


async def test_two_lists_in_one_store_leave_each_other_alone(listed: Listed, client: Client, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Listed(tmp_path / "other/pages.txt", listed.site, client)
    listed.write("/a", "/b")
    other.write("/b", "/c.md")
    await listed.follow()
    await other.follow()
    listed.write("/a")
    await listed.follow()
    assert set(await listed.held()) == {"/a", "/b", "/c.md"}
    other.write("/c.md")
    await other.follow()
    assert set(await listed.held()) == {"/a", "/c.md"}


async def test_no_page_of_this_machine_is_read_unless_it_is_allowed(
    listed: Listed, home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    where = Where(url=home.url)
    options = {"sync": True, "watch": False, "as_json": False}
    assert await run(where, None, [], **options, elsewhere=Elsewhere(lists=[listed.path])) == 1
    assert capsys.readouterr().out.count("127.0.0.1 is not a public address") == 3
    assert listed.site.seen == []


async def test_a_watched_list_is_looked_at_again(listed: Listed, home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPOD_SOURCES_DELAY_SECONDS", "0")
    elsewhere = Elsewhere(lists=[listed.path], allow_hosts=["127.0.0.1"], every=0.05)
    watching = asyncio.create_task(
        run(Where(url=home.url), None, [], sync=True, watch=True, as_json=False, elsewhere=elsewhere)
    )
    try:

        async def are(*paths: str) -> None:
            async def so() -> bool:
                return set(await listed.held()) == set(paths)

            await until(so, PATIENCE)

        await are("/a", "/b", "/c.md")
        listed.site.pages["/d"] = html("D", "This page is new.")
        listed.write("/b", "/c.md", "/d")
        await are("/b", "/c.md", "/d")
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


@pytest.mark.parametrize(
    "line", ["example.com/a", "ftp://example.com/a", "https://user:secret@example.com/", "https:///a", "http://["]
)
async def test_a_line_that_is_no_page_stops_the_command(tmp_path: Path, line: str) -> None:
    path = tmp_path / "urls.txt"
    path.write_text(f"https://example.com/a # a comment\n\n  # another\n{line}\n")
    with pytest.raises(CommandError, match=r"urls\.txt:4: "):
        UrlList(path, allowed=Allowed(), limits=Limits(1, 1.0), delay=0.0)


async def test_an_endless_page_fails_alone(listed: Listed, capsys: pytest.CaptureFixture[str]) -> None:
    listed.site.pages["/a"] = endless(b"x" * 65536)
    assert await listed.follow() == 1
    assert "larger than 1,048,576 bytes" in capsys.readouterr().out
    assert set(await listed.held()) == {"/b", "/c.md"}
