"""What anybody's robots.txt does to us: nothing but allow and refuse."""

import asyncio

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from server.cli.base.terminal import ItemFailed
from server.cli.sources.pace import LONGEST_DELAY, Pace
from server.cli.sources.robots import Robots

NAMES = ("User-agent", "Disallow", "Allow", "Crawl-delay", "Request-rate", "Visit-time", "Sitemap", "Host", "x", "")
VALUES = (
    "*",
    "ragpod",
    "/",
    "/*a*$",
    "$",
    "-1",
    "nan",
    "inf",
    "1e400",
    "9/0m",
    "1/1 0000-9999",
    "%zz",
    "/\x00",
    "가",
    "",
)
LINE = st.builds(
    "{}{}{}".format, st.sampled_from(NAMES), st.sampled_from([":", " : ", "", "\t"]), st.sampled_from(VALUES)
)
TEXT = st.lists(LINE | st.text(max_size=20), max_size=12).map("\n".join).map(str.encode)


@given(TEXT | st.binary(max_size=200), st.sampled_from(["/", "/a?b#c", "/%EA%B0%80", "/aaa"]))
@settings(deadline=None)
def test_whatever_it_says_pages_are_allowed_or_not_and_no_pause_is_without_end(body: bytes, path: str) -> None:
    slept: list[float] = []

    async def ask() -> None:
        async def fetch(url: URL) -> tuple[int, bytes]:
            return 200, body

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        url = URL(f"https://site.example{path}")
        rules = await Robots(fetch).of(url)
        try:
            rules.check(url)
        except ItemFailed:
            return
        pace = Pace(1.0, now=lambda: 0.0, sleep=sleep)
        for _ in range(2):
            await pace.wait("site.example", rules.delay)

    asyncio.run(ask())
    assert all(1.0 <= seconds <= LONGEST_DELAY for seconds in slept)


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        ("User-agent: *\nDisallow: /", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: RagPod\nDisallow:", True),
        ("User-agent: other\nDisallow: /", True),
        ("User-agent: *\nDisallow: /docs\nAllow: /docs/guide", True),  # the longest rule wins, whatever its place
        ("User-agent: *\nAllow: /docs\nDisallow: /docs/*.html$", False),
        ("\ufeffUser-agent: *\r\nDisallow: /docs", False),
        ("<html>not found</html>", True),
    ],
)
async def test_rules_are_read_as_rfc_9309_says(body: str, allowed: bool) -> None:
    async def fetch(url: URL) -> tuple[int, bytes]:
        assert url == URL("https://site.example/robots.txt")
        return 200, body.encode()

    rules, url = (
        await Robots(fetch).of(URL("https://site.example/docs/guide.html")),
        URL("https://site.example/docs/guide.html"),
    )
    if allowed:
        rules.check(url)
    else:
        with pytest.raises(ItemFailed):
            rules.check(url)


async def test_each_site_is_asked_once_however_many_wait_and_the_next_one_by_itself() -> None:
    asked: list[str] = []

    async def fetch(url: URL) -> tuple[int, bytes]:
        asked.append(str(url))
        await asyncio.sleep(0)
        raise aiohttp.ServerTimeoutError("it is silent")

    robots = Robots(fetch)
    urls = [
        URL("https://a.example/1"),
        URL("https://a.example/2"),
        URL("http://a.example/"),
        URL("https://a.example:444/"),
    ]
    rules = await asyncio.gather(*map(robots.of, urls))
    assert len(asked) == 3
    for each, url in zip(rules, urls, strict=True):
        with pytest.raises(ItemFailed, match="it is silent"):
            each.check(url)
