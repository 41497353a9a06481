"""/api/v1/webhooks as a caller sees it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import House, house

PATH = "/api/v1/webhooks"
URL = "https://example.com/hook"


@pytest.fixture(scope="module")
async def two_owners(
    tmp_path_factory: pytest.TempPathFactory, embedder: E5Embedder, tokenizer: Tokenizer
) -> AsyncIterator[House]:
    keys = {"ann-key": "ann", "bob-key": "bob"}
    async with house(tmp_path_factory.mktemp("hooks") / "data", embedder, tokenizer, keys=keys) as opened:
        yield opened


async def call(home: House, method: str, path: str, body: Any = None, key: str = "ann-key") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    async with home.http.request(method, home.url + path, json=body, headers=headers) as response:
        return response.status, await response.json() if response.content_type == "application/json" else None


async def made(home: House, **fields: Any) -> dict[str, Any]:
    status, found = await call(home, "POST", PATH, {"url": URL, **fields})
    assert status == 200, found
    return dict(found)


async def test_a_webhook_is_made_read_changed_and_deleted(two_owners: House) -> None:
    hook = await made(two_owners, events=["file.failed"], description="야간 당직")
    secret = hook.pop("secret")
    assert secret.startswith("whsec_")
    place = f"{PATH}/{hook['id']}"
    assert await call(two_owners, "GET", place) == (200, hook)
    assert hook == hook | {"object": "webhook", "url": URL, "events": ["file.failed"], "enabled": True}
    changed = hook | {"url": "https://example.org/", "events": None, "description": ""}
    sent = {"url": "https://example.org/", "events": None, "description": ""}
    assert await call(two_owners, "POST", place, sent) == (200, changed)
    assert await call(two_owners, "POST", place, {}) == (200, changed)
    status, off = await call(two_owners, "POST", place, {"enabled": False})
    assert (status, off["enabled"], off["disabled_reason"]) == (200, False, "by its owner")
    status, listed = await call(two_owners, "GET", PATH)
    assert (status, [each["id"] for each in listed["data"]]) == (200, [hook["id"]])
    status, _ = await call(two_owners, "HEAD", place)
    assert status == 200
    status, rotated = await call(two_owners, "POST", f"{place}/rotate_secret", {})
    assert (status, rotated["secret"] == secret) == (200, False)
    assert "secret" not in (await call(two_owners, "GET", place))[1]
    status, deleted = await call(two_owners, "DELETE", place)
    assert (status, deleted) == (200, {"id": hook["id"], "object": "webhook", "deleted": True})
    assert (await call(two_owners, "GET", place))[0] == 404


async def test_another_owner_sees_nothing_of_it(two_owners: House) -> None:
    hook = await made(two_owners)
    place = f"{PATH}/{hook['id']}"
    _, delivery = await call(two_owners, "POST", f"{place}/test")
    for method, path, body in (
        ("GET", place, None),
        ("POST", place, {"enabled": False}),
        ("DELETE", place, None),
        ("POST", f"{place}/rotate_secret", {}),
        ("POST", f"{place}/test", None),
        ("GET", f"{place}/deliveries", None),
        ("GET", f"{place}/deliveries/{delivery['id']}", None),
        ("POST", f"{place}/deliveries/{delivery['id']}/retry", None),
    ):
        status, refused = await call(two_owners, method, path, body, "bob-key")
        assert (status, refused["error"]["code"]) == (404, "not_found"), (method, path)
    _, listed = await call(two_owners, "GET", PATH, key="bob-key")
    assert listed["data"] == []
    assert (await call(two_owners, "GET", place))[1]["enabled"] is True
    await call(two_owners, "DELETE", place)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "http://127.0.0.1/hook"}, "url"),
        ({"url": "http://[::1]/"}, "url"),
        ({"url": "https://a:b@example.com"}, "url"),
        ({"url": "https://example.com/\0"}, "url"),
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": ["file.done"]}, "events[0]"),
        ({"url": URL, "secret": "mine"}, "secret"),
        ({"url": URL, "description": "x" * 513}, "description"),
    ],
)
async def test_what_cannot_be_is_refused_with_words(two_owners: House, body: dict[str, Any], param: str) -> None:
    status, refused = await call(two_owners, "POST", PATH, body)
    assert (status, refused["error"]["param"], refused["success"]) == (400, param, False)
    assert param in refused["error"]["message"]


async def test_pages_and_filters_are_checked(two_owners: House) -> None:
    hook = await made(two_owners)
    place = f"{PATH}/{hook['id']}/deliveries"
    for query in ("?filter=lost", "?limit=0", "?after=whd_none", "?order=up"):
        assert (await call(two_owners, "GET", place + query))[0] == 400
    assert (await call(two_owners, "GET", f"{PATH}?after=we_none"))[0] == 400
    assert (await call(two_owners, "POST", f"{PATH}/{hook['id']}/rotate_secret", {"keep_hours": -1}))[0] == 400
    await call(two_owners, "DELETE", f"{PATH}/{hook['id']}")


async def test_there_are_so_many_and_no_more(two_owners: House) -> None:
    hooks = [await made(two_owners) for _ in range(20)]
    status, refused = await call(two_owners, "POST", PATH, {"url": URL})
    assert (status, "delete one first" in refused["error"]["message"]) == (409, True)
    for each in hooks:
        await call(two_owners, "DELETE", f"{PATH}/{each['id']}")


async def test_the_description_of_the_api_has_them(two_owners: House) -> None:
    _, described = await call(two_owners, "GET", "/openapi.json")
    assert {path for path in described["paths"] if path.startswith(PATH)} == {
        PATH,
        f"{PATH}/{{webhook_id}}",
        f"{PATH}/{{webhook_id}}/rotate_secret",
        f"{PATH}/{{webhook_id}}/test",
        f"{PATH}/{{webhook_id}}/deliveries",
        f"{PATH}/{{webhook_id}}/deliveries/{{delivery_id}}",
        f"{PATH}/{{webhook_id}}/deliveries/{{delivery_id}}/retry",
    }
