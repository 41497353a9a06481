"""One document by HTTP, from a real server that is not always well or well-meaning."""

import gzip
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from server.cli.base.terminal import ItemFailed
from server.cli.sources.base import Fetched, Gone, Item, Known, Unchanged
from server.cli.sources.fetching import HEADERS, REDIRECTS, Fetcher, Limits
from server.cli.sources.pace import Pace
from server.outgoing.addresses import Allowed
from server.outgoing.client import open_session
from tests.server.cli.sources.site import Page, Site, endless, html, site
from tests.until import PATIENCE

pytestmark = pytest.mark.asyncio
DATE = "Sat, 28 Nov 2026 10:00:00 GMT"


@pytest.fixture
async def web_site() -> AsyncIterator[Site]:
    async with site() as made:
        yield made


class Slept(list[float]):
    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@asynccontextmanager
async def fetcher(
    limit: int = 1 << 20, seconds: float = PATIENCE, slept: Slept | None = None
) -> AsyncIterator[Fetcher]:
    allowed = Allowed(["127.0.0.1"])
    async with open_session(allowed, headers=HEADERS, total_seconds=seconds, silence_seconds=seconds) as session:
        yield Fetcher(session, Limits(limit, seconds), Pace(0.0), sleep=Slept() if slept is None else slept)


async def get(of: Site, path: str, known: Known | None = None, **limits: float) -> Fetched | Unchanged | Gone:
    async with fetcher(**limits) as one:  # type: ignore[arg-type]
        return await one.fetch(Item(of.url(path), f"127.0.0.1{path}"), known)


async def test_a_page_comes_with_what_is_needed_to_ask_again(web_site: Site) -> None:
    web_site.pages["/a"] = html("A", "text", **{"etag": '"1"', "Last-Modified": DATE})
    found = await get(web_site, "/a")
    assert isinstance(found, Fetched)
    assert (found.name, found.etag, found.modified) == ("127.0.0.1/a", '"1"', "2026-11-28T10:00:00Z")
    assert found.media_type == "text/html"
    assert "ragpod" in web_site.headers["/a"]["User-Agent"]
    assert isinstance(await get(web_site, "/a", Known(found.etag, found.modified)), Unchanged)
    assert web_site.headers["/a"]["If-Modified-Since"] == DATE
    assert isinstance(await get(web_site, "/a", Known('"0"', found.modified)), Fetched)


async def test_a_date_alone_does_too(web_site: Site) -> None:
    web_site.pages["/a"] = html("A", "text", **{"Last-Modified": DATE})
    assert isinstance(await get(web_site, "/a", Known("", "2026-11-28T10:00:00Z")), Unchanged)
    assert isinstance(await get(web_site, "/a", Known("", "nonsense")), Fetched)


@pytest.mark.parametrize("status", [404, 410])
async def test_what_is_not_there_is_gone(web_site: Site, status: int) -> None:
    web_site.pages["/a"] = Page(status=status)
    assert isinstance(await get(web_site, "/a"), Gone)


@pytest.mark.parametrize(("status", "tries"), [(500, 3), (503, 3), (429, 3), (403, 1), (401, 1), (204, 1), (304, 1)])
async def test_what_may_pass_is_tried_three_times_and_nothing_else_is(web_site: Site, status: int, tries: int) -> None:
    web_site.pages["/a"] = Page(status=status, headers={"Retry-After": "7"})
    slept = Slept()
    async with fetcher(slept=slept) as one:
        with pytest.raises(ItemFailed, match=f"HTTP {status}"):
            await one.fetch(Item(web_site.url("/a"), "a"), None)
    assert web_site.seen.count(f"/a {status}") == tries
    assert slept == [7.0, 7.0][: tries - 1]


async def test_an_error_that_passes_is_none(web_site: Site) -> None:
    async def every_other(request: web.Request) -> web.Response:
        return web.Response(status=500 if not web_site.seen.count("/a 500") else 200, text="at last")

    web_site.pages["/a"] = every_other
    found = await get(web_site, "/a")
    assert isinstance(found, Fetched)
    assert found.content == b"at last"


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "[::ffff:127.0.0.2]", "169.254.169.254", "2130706433"])
async def test_a_redirect_leads_to_no_address_that_is_not_public(web_site: Site, host: str) -> None:
    web_site.pages["/a"] = Page(status=302, headers={"Location": f"http://{host}:{web_site.port}/secret"})
    web_site.pages["/secret"] = Page("secret")
    with pytest.raises(ItemFailed, match=r"not a public address|canonical"):
        await get(web_site, "/a")
    assert not [line for line in web_site.seen if line.startswith("/secret")]


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/", "http://u:p@127.0.0.1/", "http://["],
)
async def test_a_redirect_leads_to_nothing_but_http(web_site: Site, location: str) -> None:
    web_site.pages["/a"] = Page(status=301, headers={"Location": location})
    with pytest.raises(ItemFailed, match=r"only http|no URL|password|no host"):
        await get(web_site, "/a")


async def test_redirects_are_followed_to_a_limit(web_site: Site) -> None:
    for number in range(REDIRECTS + 1):
        web_site.pages[f"/{number}"] = Page(status=302, headers={"Location": f"{number + 1}"})
    web_site.pages[f"/{REDIRECTS + 1}"] = Page("here")
    assert isinstance(await get(web_site, "/1"), Fetched)
    with pytest.raises(ItemFailed, match="redirects"):
        await get(web_site, "/0")


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
async def test_an_endless_body_is_cut_off(web_site: Site) -> None:
    web_site.pages["/a"] = endless(b"x" * 65536)
    with pytest.raises(ItemFailed, match="larger than 1,048,576 bytes"):
        await get(web_site, "/a")
    assert tracemalloc.get_traced_memory()[1] < 30 << 20


@pytest.mark.usefixtures("traced")
async def test_a_bomb_of_gzip_is_unpacked_no_further_than_the_limit(web_site: Site) -> None:
    bomb = gzip.compress(b"\0" * (1 << 20), 9) * 400  # 400 MB in 400 kB
    web_site.pages["/a"] = Page(bomb, headers={"Content-Encoding": "gzip", "Content-Type": "text/plain"})
    with pytest.raises(ItemFailed, match="larger than 1,048,576 bytes"):
        await get(web_site, "/a")
    assert tracemalloc.get_traced_memory()[1] < 30 << 20


async def test_gzip_is_unpacked_and_nothing_else_is(web_site: Site) -> None:
    text = "배송은 이틀 걸립니다. ".encode() * 5000
    packed = gzip.compress(text[:1000]) + gzip.compress(text[1000:])
    web_site.pages["/a"] = Page(packed, headers={"Content-Encoding": "gzip"})
    found = await get(web_site, "/a")
    assert isinstance(found, Fetched)
    assert found.content == text
    web_site.pages["/a"] = Page(b"x", headers={"Content-Encoding": "br"})
    with pytest.raises(ItemFailed, match="not asked for"):
        await get(web_site, "/a")
    for broken in (packed[:-9], b"no gzip"):
        web_site.pages["/a"] = Page(broken, headers={"Content-Encoding": "gzip"})
        with pytest.raises(ItemFailed, match="packed body"):
            await get(web_site, "/a")


async def test_a_body_that_trickles_for_ever_is_given_up(web_site: Site) -> None:
    web_site.pages["/a"] = endless(b"x", 0.05)
    with pytest.raises(ItemFailed, match=r"no whole answer within 0\.5 s"):
        await get(web_site, "/a", seconds=0.5)


async def test_a_body_that_breaks_off_is_no_document(web_site: Site) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    web_site.pages["/a"] = broken
    with pytest.raises(ItemFailed, match=r"not all data|payload|Response"):
        await get(web_site, "/a")


async def test_robots_are_asked_once_and_obeyed_on_every_hop(web_site: Site) -> None:
    web_site.pages |= {
        "/robots.txt": Page("User-agent: *\nDisallow: /\n\nUser-agent: ragpod\nDisallow: /private/*.html$\nAllow: /\n"),
        "/a": Page("a"),
        "/b": Page(status=302, headers={"Location": "/private/b.html"}),
        "/private/b.html": Page("private"),
    }
    async with fetcher() as one:
        assert isinstance(await one.fetch(Item(web_site.url("/a"), "a"), None), Fetched)
        for path in ("/private/b.html", "/b"):
            with pytest.raises(ItemFailed, match=r"robots\.txt of 127\.0\.0\.1 does not allow it"):
                await one.fetch(Item(web_site.url(path), "b"), None)
    assert web_site.seen.count("/robots.txt 200") == 1
    assert "/private/b.html 200" not in web_site.seen


@pytest.mark.parametrize(
    ("status", "allowed"), [(404, True), (403, True), (410, True), (500, False), (503, False), (429, False)]
)
async def test_robots_that_cannot_be_asked_allow_nothing_and_those_that_are_not_there_all(
    web_site: Site, status: int, allowed: bool
) -> None:
    web_site.pages |= {"/robots.txt": Page(status=status), "/a": Page("a")}
    if allowed:
        assert isinstance(await get(web_site, "/a"), Fetched)
        return
    with pytest.raises(ItemFailed, match=r"robots\.txt"):
        await get(web_site, "/a")
    assert "/a 200" not in web_site.seen


async def test_endless_robots_are_read_as_far_as_they_must_be(web_site: Site) -> None:
    web_site.pages |= {"/robots.txt": endless(b"# nothing to see here\n" * 3000), "/a": Page("a")}
    assert isinstance(await get(web_site, "/a"), Fetched)


async def test_an_answer_names_the_file_and_its_type(web_site: Site) -> None:
    disposition = "attachment; filename=\"x.pdf\"; filename*=UTF-8''%EB%B3%B4%EA%B3%A0%EC%84%9C.pdf"
    web_site.pages["/get?id=5"] = Page(
        "x", headers={"Content-Disposition": disposition, "Content-Type": "application/pdf"}
    )
    found = await get(web_site, "/get?id=5")
    assert isinstance(found, Fetched)
    assert found.name == "127.0.0.1/get?id=5/보고서.pdf"
    web_site.pages["/page.php"] = html("P", "text")
    found = await get(web_site, "/page.php")
    assert isinstance(found, Fetched)
    assert found.name == "127.0.0.1/page.php.html"
