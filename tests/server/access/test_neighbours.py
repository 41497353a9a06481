"""Which hosts are answered for, and whose pages may change something: real sockets, headers as browsers send them."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.access.test_auth import ALICE, routes
from tests.server.house import House, house

OTHERS = ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", "x@127.0.0.1"]
OTHERS += ["127.0.0.1/x", "[::2]", "[", "0.0.0.0", ""]
OURS = ["localhost", "LOCALHOST:99", "127.0.0.1:1", "127.8.8.8", "[::1]:8080"]


@pytest.fixture(scope="module")
async def keyless(
    tmp_path_factory: pytest.TempPathFactory, embedder: E5Embedder, tokenizer: Tokenizer
) -> AsyncIterator[House]:
    origins = ["https://app.example"]
    folder = tmp_path_factory.mktemp("keyless")
    async with house(folder, embedder, tokenizer, cors_origins=origins, allowed_hosts=["Pod.example"]) as opened:
        yield opened


async def answered(home: House, method: str, path: str, **headers: str) -> tuple[int, str | None]:
    """Status, and the error's code."""
    async with home.http.request(method, home.url + path, headers=headers, data=b"{") as response:
        said = await response.json() if response.status == 403 else {}
        return response.status, said.get("error", {}).get("code")


@pytest.mark.parametrize("host", OTHERS)
async def test_a_foreign_host_reads_nothing(keyless: House, host: str) -> None:
    for path in ("/v1/files", "/", "/docs", "/openapi.json", "/metrics"):
        assert await answered(keyless, "GET", path, Host=host) == (403, "host_not_allowed")
    assert (await answered(keyless, "GET", "/health", Host=host))[0] == 200


@pytest.mark.parametrize("host", [*OURS, "pod.example", "POD.example:443"])
async def test_our_own_names_are_answered(keyless: House, host: str) -> None:
    assert (await answered(keyless, "GET", "/v1/files", Host=host))[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", ""])
async def test_a_foreign_page_changes_nothing_on_any_route(keyless: House, origin: str) -> None:
    for method, path in routes():
        if method not in ("GET", "HEAD"):
            assert await answered(keyless, method, path, Origin=origin) == (403, "origin_not_allowed"), (method, path)


async def uploaded(home: House, **headers: str) -> int:
    form = aiohttp.FormData({"purpose": "assistants"})
    form.add_field("file", b"planted", filename="planted.txt")
    async with home.http.post(home.url + "/v1/files", data=form, headers=headers) as response:
        return response.status


async def test_a_form_of_a_foreign_page_uploads_nothing(keyless: House) -> None:
    assert await uploaded(keyless, Origin="https://evil.example") == 403
    assert (await keyless.get("/v1/files"))[1]["data"] == []
    for headers in ({}, {"Origin": keyless.url}, {"Origin": "https://app.example"}):
        assert await uploaded(keyless, **headers) == 200


async def test_keys_answer_under_any_host_but_not_to_a_foreign_page(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, keys={ALICE: "alice"}) as home:
        assert (await answered(home, "GET", "/v1/files", Host="pod.example"))[0] == 200
        assert await uploaded(home, Origin="https://evil.example") == 403
    async with house(data_dir, embedder, tokenizer, keys={ALICE: "alice"}, allowed_hosts=["pod.example"]) as home:
        assert (await answered(home, "GET", "/v1/files", Host="evil.example"))[0] == 403


async def test_without_a_setting_this_machine_alone_is_answered_for(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer) as home:
        assert (await answered(home, "GET", "/v1/files"))[0] == 200
        assert (await answered(home, "GET", "/v1/files", Host="pod.example"))[0] == 403
