"""Who gets in, through which door, and to whose data."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.access.authentication import OPEN_PATHS
from server.access.keys import Keys
from server.app.app import create_app
from server.settings.settings import Settings
from tests.server.house import KOREAN, QUESTION, House, house

ALICE, BOB = "alice-key-0123456789", "bob-key-0123456789"


@pytest.fixture(scope="module")
async def guarded(
    tmp_path_factory: pytest.TempPathFactory, embedder: E5Embedder, tokenizer: Tokenizer
) -> AsyncIterator[House]:
    async with house(
        tmp_path_factory.mktemp("guarded"), embedder, tokenizer, keys={ALICE: "alice", BOB: "bob"}
    ) as opened:
        yield opened


def routes() -> list[tuple[str, str]]:
    """Every operation of the OpenAPI document, and the pages about it."""
    document: dict[str, Any] = create_app(Settings.load()).openapi()
    listed = [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]
    return [*listed, ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/nowhere"), ("POST", "/v1/nowhere")]


DOORS: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": f"Basic {ALICE}"},
    {"Authorization": ALICE},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer wrong", "x-api-key": ALICE},
    {"x-api-key": "wrong"},
    {"x-api-key": ALICE[:-1]},
    {"x-api-key": "' OR 1=1 --"},
    {"Cookie": f"api_key={ALICE}"},
]


@pytest.mark.parametrize(("method", "path"), routes())
async def test_without_a_key_nothing_opens_but_the_probes(guarded: House, method: str, path: str) -> None:
    async with aiohttp.ClientSession() as stranger:
        for headers in DOORS:
            async with stranger.request(method, guarded.url + path, headers=headers, data=b"{not json") as response:
                if path in OPEN_PATHS:
                    assert response.status in (200, 503)
                    continue
                assert response.status == 401
                assert (await response.json())["error"]["code"] == "invalid_api_key"


async def test_the_query_string_is_no_door(guarded: House) -> None:
    async with aiohttp.ClientSession() as stranger:
        for name in ("api_key", "key", "access_token", "x-api-key"):
            async with stranger.get(f"{guarded.url}/v1/models", params={name: ALICE}) as response:
                assert response.status == 401


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {ALICE}"}, {"authorization": f"bearer {ALICE}"}, {"x-api-key": ALICE}]
)
async def test_a_key_opens_by_both_its_doors(guarded: House, headers: dict[str, str]) -> None:
    async with aiohttp.ClientSession(headers=headers) as client, client.get(f"{guarded.url}/v1/models") as response:
        assert response.status == 200


async def test_another_owners_ids_are_unknown_everywhere(guarded: House) -> None:
    store_id = await guarded.ingest("default", KOREAN)
    files = await guarded.openai.files.list()
    file_id = files.data[0].id
    _, answer = await guarded.post("/api/v1/chat", {"question": QUESTION})
    trace_id = answer["metadata"]["trace_id"]
    batch = await guarded.openai.vector_stores.file_batches.create(store_id, file_ids=[file_id])
    _, response = await guarded.post("/v1/responses", {"model": "ragpod", "input": QUESTION})
    ids = {"store_id": store_id, "file_id": file_id, "trace_id": trace_id, "batch_id": batch.id}
    ids |= {"page": "1", "response_id": response["id"], "session_id": answer["metadata"]["session_id"], "user_id": "u1"}
    mark = {"message_id": answer["metadata"]["message_id"], "user_id": "u1"}
    _, marked = await guarded.post("/api/v1/bookmarks", mark)
    ids["bookmark_id"] = marked["bookmark"]["id"]
    _, hook = await guarded.post("/api/v1/webhooks", {"url": "https://nobody.invalid/"})
    _, sent = await guarded.post(f"/api/v1/webhooks/{hook['id']}/test", {})
    ids |= {"webhook_id": hook["id"], "delivery_id": sent["id"]}
    _, generations = await guarded.get(f"/api/v1/generations?vector_store_id={store_id}")
    ids["index_id"] = generations["data"][0]["id"]
    bodies = {
        "/v1/vector_stores/{store_id}/search": {"query": "x"},
        "/v1/vector_stores/{store_id}/files": {"file_id": file_id},
    }
    bodies |= {"/v1/vector_stores/{store_id}/file_batches": {"file_ids": [file_id]}}
    bodies |= {"/api/v1/sessions/{session_id}": {"title": "mine"}, "/api/v1/bookmarks/{bookmark_id}": {"note": "mine"}}
    bodies |= {"/v1/vector_stores/{store_id}/files/{file_id}": {"attributes": {}}}
    async with aiohttp.ClientSession(headers={"x-api-key": BOB}) as bob:
        for method, path in routes():
            if "{" not in path or "{model}" in path:
                continue
            url = guarded.url + path.format(**ids)
            async with bob.request(method, url, json=bodies.get(path, {})) as refused:
                # another owner's user of the same name is another user, of whom nothing is kept
                expected = 200 if path == "/api/v1/users/{user_id}" else 404
                assert refused.status == expected, (method, path, await refused.text())
    async with aiohttp.ClientSession(headers={"x-api-key": BOB}) as bob:
        for body in (
            {"model": f"ragpod:{store_id}", "messages": [{"role": "user", "content": "x"}]},
            {
                "model": "ragpod",
                "messages": [{"role": "user", "content": "x"}],
                "ragpod": {"vector_store_ids": [store_id]},
            },
        ):
            async with bob.post(f"{guarded.url}/v1/chat/completions", json=body) as response:
                assert response.status == 404
    assert (await guarded.get(f"/api/v1/traces/{trace_id}"))[0] == 200
    assert (await guarded.get(f"/api/v1/bookmarks/{ids['bookmark_id']}"))[0] == 200
    assert (await guarded.get(f"/api/v1/webhooks/{hook['id']}"))[1]["url"] == "https://nobody.invalid/"
    assert len((await guarded.openai.vector_stores.files.list(store_id)).data) == len(KOREAN)


async def test_another_owner_sees_nothing_in_any_list(guarded: House) -> None:
    await guarded.ingest("default", KOREAN)
    async with aiohttp.ClientSession(headers={"x-api-key": BOB}) as bob:
        async with bob.get(f"{guarded.url}/v1/files") as response:
            assert (await response.json())["data"] == []
        async with bob.get(f"{guarded.url}/v1/vector_stores") as response:
            own = (await response.json())["data"]  # of the same name, and nothing in it
            assert [(store["name"], store["file_counts"]["total"]) for store in own] == [("default", 0)]
        async with bob.get(f"{guarded.url}/v1/models") as response:
            listed = [m["id"] for m in (await response.json())["data"] if m["id"].startswith("ragpod:")]
            assert set(listed) <= {"ragpod:default"}


def test_keys_of_the_settings_are_the_default_owners() -> None:
    keys = Keys.of([SecretStr("one"), SecretStr("two")])
    assert (keys.owner("one"), keys.owner("two")) == ("default", "default")
    assert (keys.owner("three"), keys.owner(None), keys.owner("")) == (None, None, None)
    assert Keys({}).owner(None) == "default"


def test_a_key_may_have_an_owner() -> None:
    given = ["ann:key:with:colons", "plain", "bob:b", "also=plain==", "ünknown:key", "ann:another"]
    keys = Keys.of([SecretStr(each) for each in given])
    asked = ["key:with:colons", "another", "b", "plain", "also=plain==", "ünknown:key", "ann:another", "ann"]
    assert [keys.owner(key) for key in asked] == ["ann", "ann", "bob", *["default"] * 3, None, None]
    assert not keys.admits_everyone


def test_keys_are_kept_as_digests() -> None:
    assert ALICE.encode() not in repr(vars(Keys({ALICE: "alice"}))).encode()


async def preflight(home: House, origin: str) -> tuple[int, str | None]:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    url = f"{home.url}/v1/chat/completions"
    async with aiohttp.ClientSession() as browser, browser.options(url, headers=headers) as response:
        return response.status, response.headers.get("access-control-allow-origin")


async def test_no_other_origin_may_call_unless_it_is_named(
    data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(data_dir, embedder, tokenizer, keys={ALICE: "alice"}) as closed:
        assert await preflight(closed, "https://app.example") == (401, None)
    origins = ["https://app.example"]
    async with house(data_dir, embedder, tokenizer, keys={ALICE: "alice"}, cors_origins=origins) as opened:
        assert await preflight(opened, "https://app.example") == (200, "https://app.example")
        assert (await preflight(opened, "https://evil.example"))[1] is None


async def test_every_owner_has_the_default_store_from_the_first_start(guarded: House) -> None:
    for key in (ALICE, BOB):
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
            client.get(f"{guarded.url}/v1/vector_stores") as response,
        ):
            assert [store["name"] for store in (await response.json())["data"]].count("default") == 1
