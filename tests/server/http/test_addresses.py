"""HEAD and trailing slashes, on every route; what a browser finds at /."""

import asyncio
import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.app.app import create_app
from server.http.addresses import meant
from server.settings.settings import Settings
from tests.server.house import House

PATHS = [path for path, methods in create_app(Settings.load()).openapi()["paths"].items() if "get" in methods]
READABLE = [*PATHS, "/", "/docs", "/openapi.json", "/favicon.ico", "/nowhere"]
VARYING = {"date", "x-request-id"}


async def asked(home: House, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    async with aiohttp.ClientSession(home.url) as client, client.request(method, path, allow_redirects=False) as got:
        headers = {name.lower(): value for name, value in got.headers.items() if name.lower() not in VARYING}
        return got.status, headers, await got.read()


@pytest.mark.parametrize("path", READABLE)
async def test_head_says_what_get_says_without_the_body(home: House, path: str) -> None:
    status, headers, _ = await asked(home, "HEAD", path)
    get_status, get_headers, body = await asked(home, "GET", path)
    if path == "/metrics":  # counts the request before it
        headers["content-length"] = get_headers["content-length"]
    assert (status, headers) == (get_status, get_headers)
    assert body
    assert status != 405


async def test_nothing_follows_the_head_on_the_wire(home: House) -> None:
    host, port = urlsplit(home.url).hostname, urlsplit(home.url).port
    assert host is not None
    with socket.create_connection((host, port or 0)) as raw:
        raw.setblocking(False)
        request = (
            b"HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(raw, request)
        received = b""
        while part := await loop.sock_recv(raw, 65536):
            received += part
    first, _, rest = received.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    assert rest.startswith(b"HTTP/1.1 200")


async def test_head_of_what_is_only_posted_to_is_405(home: House) -> None:
    for path in ("/v1/chat/completions", "/v1/chat/completions/"):
        status, headers, _ = await asked(home, "HEAD", path)
        assert (status, headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", READABLE)
async def test_a_slash_too_many_is_answered_and_not_redirected(home: House, path: str) -> None:
    plain, slashed = await asked(home, "GET", path), await asked(home, "GET", f"{path}/")
    assert (slashed[0], slashed[1].get("content-type")) == (plain[0], plain[1].get("content-type"))
    assert "location" not in slashed[1]


async def test_a_slash_too_many_is_answered_where_something_is_posted_too(home: House) -> None:
    body = {"model": "ragpod", "messages": [{"role": "user", "content": "배송은 며칠 걸리나요?"}]}
    status, answer = await home.post("/v1/chat/completions/", body)
    assert (status, answer["object"]) == (200, "chat.completion")


@given(path=st.text(st.sampled_from("/ab%"), max_size=8), method=st.sampled_from(["GET", "HEAD", "POST"]))
def test_what_is_meant_ends_without_a_slash_and_means_itself(path: str, method: str) -> None:
    scope: dict[str, Any] = {"method": method, "path": f"/{path}", "raw_path": f"/{path}".encode(), "headers": []}
    given_scope = dict(scope)
    found = meant(scope)
    assert scope == given_scope
    assert found["path"] == "/" or not found["path"].endswith("/")
    assert found["raw_path"] == found["path"].encode()
    assert found["method"] == ("GET" if method == "HEAD" else method)
    assert meant(found) == found


async def test_a_browser_learns_at_the_root_what_this_is(home: House) -> None:
    status, headers, page = await asked(home, "GET", "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = page.decode()
    assert "OpenAI" in text
    assert "출처" in text
    assert "http" not in text  # it loads nothing from elsewhere
    assert len(page) < 2000
    status, headers, icon = await asked(home, "GET", "/favicon.ico")
    assert (status, headers["content-type"]) == (200, "image/svg+xml")
    assert icon.startswith(b"<svg ")
