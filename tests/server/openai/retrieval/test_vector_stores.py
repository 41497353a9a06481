"""Vector stores and the files in them through the official SDK."""

import asyncio
from collections.abc import Sequence
from typing import Any

import openai
import pytest
from openai.types import VectorStore, VectorStoreDeleted
from openai.types.vector_stores import VectorStoreFile, VectorStoreFileDeleted

from retrieval.store.base.values import DAY
from tests.server.house import ENGLISH, House
from tests.server.openai.later import later

LONG = "\n\n".join(f"Paragraph {i} tells about the heron number {i} and its nest in the reeds." for i in range(120))
LAMBDA = ("lambda.md", ENGLISH["lambda.md"].encode())


async def test_a_store_is_created_changed_and_deleted(home: House) -> None:
    stores = home.openai.vector_stores
    made = await stores.create(name="one", metadata={"team": "a"})
    assert (made.object, made.status, made.file_counts.total) == ("vector_store", "completed", 0)
    changed = await stores.update(made.id, name="둘")
    assert (changed.name, changed.metadata) == ("둘", {"team": "a"})
    assert (await stores.retrieve(made.id)).name == "둘"
    assert (await home.openai.models.retrieve("ragpod:둘")).id == "ragpod:둘"
    assert (await stores.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await stores.retrieve(made.id)


async def test_a_file_goes_through_a_store_and_out_of_it_again(home: House) -> None:
    stores = home.openai.vector_stores
    store = await stores.create(name="life")
    file = await home.openai.files.create(file=LAMBDA, purpose="assistants")
    done = await stores.files.create_and_poll(
        file.id, vector_store_id=store.id, attributes={"year": 2024, "kind": "doc", "open": True}, poll_interval_ms=20
    )
    assert (done.status, done.last_error, done.vector_store_id) == ("completed", None, store.id)
    assert done.attributes == {"year": 2024, "kind": "doc", "open": True}
    texts = [part.text async for part in await stores.files.content(file.id, vector_store_id=store.id)]
    assert "anonymous function" in (texts[0] or "")
    changed = await stores.files.update(file.id, vector_store_id=store.id, attributes={"year": 2025})
    assert changed.attributes == {"year": 2025}
    assert (await stores.retrieve(store.id)).file_counts.completed == 1
    assert len((await stores.search(store.id, query="anonymous function")).data) == 1
    assert (await stores.files.delete(file.id, vector_store_id=store.id)).deleted
    assert (await stores.search(store.id, query="anonymous function")).data == []
    assert (await home.openai.files.retrieve(file.id)).id == file.id


async def test_a_file_that_cannot_be_read_fails_with_its_reason(home: House) -> None:
    store = await home.openai.vector_stores.create(name="bad")
    done = await home.openai.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("empty.txt", b"   "), poll_interval_ms=20
    )
    assert done.status == "failed"
    assert done.last_error is not None
    assert "empty" in done.last_error.message
    failed = await home.openai.vector_stores.files.list(store.id, filter="failed")
    assert [file.id for file in failed.data] == [done.id]


async def test_the_indexes_of_a_running_server_are_compared_with_its_store(home: House) -> None:
    store = await home.openai.vector_stores.create(name="level")
    await home.openai.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("a.txt", b"alpha"), poll_interval_ms=20
    )
    assert await home.get("/api/v1/consistency") == (200, {"consistent": True, "differences": []})
    delete = "DELETE FROM chunks WHERE key = (SELECT max(key) FROM chunks)"
    with home.parts.library.store.database.write() as db:
        db.exec_driver_sql(delete)  # behind the change log's back
    _, told = await home.get("/api/v1/consistency")
    assert told["consistent"] is False
    assert {(each["store_id"], len(each["extra"])) for each in told["differences"]} == {(store.id, 1)}


async def test_a_file_that_failed_is_tried_again_when_asked_for(home: House) -> None:
    store = await home.openai.vector_stores.create(name="again")
    done = await home.openai.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("empty.txt", b"   "), poll_interval_ms=20
    )
    status, again = await home.post(f"/v1/vector_stores/{store.id}/files/{done.id}/retry", {})
    assert (status, again["status"], again["last_error"]) == (200, "in_progress", None)
    ended = await home.openai.vector_stores.files.poll(done.id, vector_store_id=store.id, poll_interval_ms=20)
    assert ended.status == "failed"
    assert (await home.post(f"/v1/vector_stores/{store.id}/files/file-unknown/retry", {}))[0] == 404


async def test_a_table_tells_which_lines_were_read_otherwise_than_they_were_written(home: House) -> None:
    store = await home.openai.vector_stores.create(name="table")
    lines = ["question\tanswer", *(f'Where is no. {i}?\t"{i} inches to the left' for i in range(30)), "When?\tNow"]
    done = await home.openai.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("faq.csv", "\n".join(lines).encode()), poll_interval_ms=20
    )
    _, told = await home.get(f"/v1/vector_stores/{store.id}/files/{done.id}")
    assert (told["status"], told["ragpod"]["documents"], told["ragpod"]["warnings"]["count"]) == ("completed", 31, 30)
    assert told["ragpod"]["warnings"]["messages"][0].startswith("line 2: ")
    assert len(told["ragpod"]["warnings"]["messages"]) == 20
    clean = ("faq.csv", "\n".join(line.replace('"', "") for line in lines).encode())
    done = await home.openai.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=clean)
    _, told = await home.get(f"/v1/vector_stores/{store.id}/files/{done.id}")
    assert told["ragpod"]["warnings"] == {"count": 0, "messages": []}


async def test_an_unknown_file_makes_no_batch_and_no_store(home: House) -> None:
    store = await home.openai.vector_stores.create(name="batch")
    file = await home.openai.files.create(file=LAMBDA, purpose="assistants")
    ids = [file.id, "file-unknown"]
    assert (await home.post(f"/v1/vector_stores/{store.id}/file_batches", {"file_ids": ids}))[0] == 404
    assert (await home.post("/v1/vector_stores", {"name": "new", "file_ids": ids}))[0] == 404
    assert (await home.openai.vector_stores.files.list(store.id)).data == []
    assert "new" not in [store.name async for store in home.openai.vector_stores.list()]


@pytest.mark.parametrize("attributes", [{"k": "x" * 600}, {"k" * 70: "x"}, {f"k{i}": 1 for i in range(20)}, {"k": [1]}])
async def test_attributes_are_bounded(home: House, attributes: dict[str, Any]) -> None:
    store = await home.openai.vector_stores.create(name="bounded")
    file = await home.openai.files.create(file=LAMBDA, purpose="assistants")
    body = {"file_id": file.id, "attributes": attributes}
    assert (await home.post(f"/v1/vector_stores/{store.id}/files", body))[0] == 400


async def put(home: House, store_id: str, name: str, text: str, **settings: Any) -> str:
    """Uploaded, attached and completed: the file's id."""
    file = await home.openai.files.create(file=(name, text.encode()), purpose="assistants")
    done = await home.openai.vector_stores.files.create_and_poll(
        file.id, vector_store_id=store_id, poll_interval_ms=20, **settings
    )
    assert done.status == "completed", done
    return file.id


async def passages(home: House, store_id: str) -> list[tuple[str, int]]:
    """(text, tokens) of everything that searches can find."""
    keys, _ = await asyncio.to_thread(home.parts.library.store.passages.visible_keys, store_id)
    named = await asyncio.to_thread(home.parts.library.store.vector_stores.resolve, "default", store_id)
    found = await asyncio.to_thread(home.parts.library.store.passages.load, "default", named, keys)
    return [(found[key].chunk.text, found[key].chunk.token_count) for key in keys]


def static(size: int, overlap: int) -> Any:
    return {"type": "static", "static": {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}}


async def test_stores_and_their_files_are_valid_under_the_sdks_own_types(home: House) -> None:
    store = await home.openai.vector_stores.create(
        name="valid",
        description="for a test",
        metadata={"a": "b"},
        expires_after={"anchor": "last_active_at", "days": 7},
    )
    file_id = await put(home, store.id, *("heron.txt", LONG), attributes={"n": 1, "x": 0.5, "t": True, "s": "1"})
    _, shown = await home.get(f"/v1/vector_stores/{store.id}")
    VectorStore.model_validate(shown, strict=True)
    assert shown["description"] == "for a test"
    _, shown = await home.get(f"/v1/vector_stores/{store.id}/files/{file_id}")
    VectorStoreFile.model_validate(shown, strict=True)
    assert shown["attributes"] == {"n": 1, "x": 0.5, "t": True, "s": "1"}
    assert [type(value) for value in shown["attributes"].values()] == [int, float, bool, str]
    for path, kind in ((f"/files/{file_id}", VectorStoreFileDeleted), ("", VectorStoreDeleted)):
        async with home.http.delete(f"{home.url}/v1/vector_stores/{store.id}{path}") as response:
            kind.model_validate(await response.json(), strict=True)


async def test_null_clears_and_what_is_not_sent_stays(home: House) -> None:
    expiry: Any = {"anchor": "last_active_at", "days": 3}
    store = await home.openai.vector_stores.create(name="one", metadata={"team": "a"}, expires_after=expiry)
    assert store.expires_at == (store.last_active_at or 0) + 3 * DAY
    kept = await home.openai.vector_stores.update(store.id, expires_after={"anchor": "last_active_at", "days": 5})
    assert (kept.name, kept.metadata, kept.expires_after and kept.expires_after.days) == ("one", {"team": "a"}, 5)
    cleared = await home.openai.vector_stores.update(store.id, name=None, metadata=None, expires_after=None)
    assert (cleared.name, cleared.metadata, cleared.expires_after, cleared.expires_at) == ("", {}, None, None)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_every_page_of_stores_and_files_is_reached_in_both_orders(home: House, order: Any) -> None:
    stores = home.openai.vector_stores
    known = [store.id async for store in stores.list(order="asc")]
    made = known + [(await stores.create(name=f"s{i}")).id for i in range(5)]
    assert [store.id async for store in stores.list(limit=2, order=order)] == made[:: 1 if order == "asc" else -1]
    files = [await put(home, made[-1], f"{i}.txt", f"text {i}") for i in range(5)]
    listed = stores.files.list(made[-1], limit=2, order=order)
    assert [file.id async for file in listed] == files[:: 1 if order == "asc" else -1]
    page = await stores.files.list(made[-1], limit=2, order="asc", before=files[3])
    assert ([file.id for file in page.data], page.has_more) == (files[1:3], True)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "order=up", "after=x", "before=x"])
async def test_a_bad_page_is_refused_by_name(home: House, query: str) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    for path in ("/v1/vector_stores", f"/v1/vector_stores/{store.id}/files"):
        status, answer = await home.get(f"{path}?{query}")
        assert (status, answer["error"]["param"]) == (400, query.partition("=")[0])


async def test_a_static_strategy_cuts_the_file_so_and_is_shown(home: House) -> None:
    store = await home.openai.vector_stores.create(name="cut")
    await put(home, store.id, "auto.txt", LONG)
    usual = await passages(home, store.id)
    assert max(tokens for _, tokens in usual) <= 181
    file_id = await put(home, store.id, "static.txt", LONG, chunking_strategy=static(100, 0))
    small = (await passages(home, store.id))[len(usual) :]
    assert 60 < max(tokens for _, tokens in small) <= 101
    assert len(small) > len(usual)
    shown = [file.chunking_strategy async for file in home.openai.vector_stores.files.list(store.id, order="asc")]
    assert [each and each.model_dump() for each in shown] == [static(180, 40), static(100, 0)]
    assert file_id


async def test_a_file_attached_again_with_another_strategy_is_cut_anew(home: House) -> None:
    stores = home.openai.vector_stores
    store = await stores.create(name="anew")
    file_id = await put(home, store.id, "heron.txt", LONG, attributes={"bird": "heron"})
    usual = await passages(home, store.id)
    await put(home, store.id, "heron.txt", LONG, chunking_strategy=static(400, 50))
    large = await passages(home, store.id)
    assert len(large) < len(usual)
    again = await stores.files.create(store.id, file_id=file_id)
    assert (again.status, again.attributes) == ("completed", {"bird": "heron"})  # nothing is asked for: nothing changes
    await put(home, store.id, "heron.txt", LONG, chunking_strategy={"type": "auto"})
    assert await passages(home, store.id) == usual
    assert (await stores.retrieve(store.id)).file_counts.total == 1
    assert (await asyncio.to_thread(home.parts.library.indexes.check)) == []


async def test_a_passage_longer_than_the_embedder_reads_is_found_by_its_end(home: House) -> None:
    store = await home.openai.vector_stores.create(name="long")
    end = "The last sentence says that the archive opens on Tuesday."
    text = " ".join(f"Herring {i} swims past buoy {i}." for i in range(250)) + " " + end
    await put(home, store.id, "long.txt", text, chunking_strategy=static(4096, 0))
    await put(home, store.id, "fish.txt", "Herring swim past many buoys in summer.")
    ((_, tokens), _) = await passages(home, store.id)
    assert tokens > 2 * home.parts.library.embedder.max_tokens
    page = await home.openai.vector_stores.search(store.id, query="On which day does the archive open?")
    assert page.data[0].filename == "long.txt"


@pytest.mark.parametrize(
    ("strategy", "param"),
    [
        (static(99, 0), "chunking_strategy.static.max_chunk_size_tokens"),
        (static(4097, 0), "chunking_strategy.static.max_chunk_size_tokens"),
        (static(200, 101), "chunking_strategy.static"),
        (static(200, -1), "chunking_strategy.static.chunk_overlap_tokens"),
        ({"type": "static"}, "chunking_strategy"),
        ({"type": "auto", "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 0}}, "chunking_strategy"),
        ({"type": "semantic"}, "chunking_strategy.type"),
        ({"type": "auto", "size": 3}, "chunking_strategy.size"),
    ],
)
async def test_a_bad_strategy_is_refused_by_name(home: House, strategy: dict[str, Any], param: str) -> None:
    store = await home.openai.vector_stores.create(name="bad")
    body = {"file_id": "file-x", "chunking_strategy": strategy}
    status, answer = await home.post(f"/v1/vector_stores/{store.id}/files", body)
    assert (status, answer["error"]["param"]) == (400, param)
    status, answer = await home.post("/v1/vector_stores", {"chunking_strategy": strategy})
    assert (status, answer["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    "expiry", [{"anchor": "created_at", "days": 1}, {"anchor": "last_active_at", "days": 0}, {"days": 366}, 7]
)
async def test_a_bad_expiry_is_refused_by_name(home: House, expiry: Any) -> None:
    status, answer = await home.post("/v1/vector_stores", {"expires_after": expiry})
    assert status == 400
    assert answer["error"]["param"].startswith("expires_after")


async def test_a_store_expires_after_its_last_use_and_is_emptied(home: House) -> None:
    stores = home.openai.vector_stores
    store = await stores.create(name="lent", expires_after={"anchor": "last_active_at", "days": 1})
    file_id = await put(home, store.id, "heron.txt", "The heron nests in the reeds.")
    last_use = (await stores.retrieve(store.id)).last_active_at or 0
    await later(home, DAY - 100)
    assert (await stores.search(store.id, query="heron")).data  # a use
    used = await stores.retrieve(store.id)
    assert (used.last_active_at or 0) >= last_use + DAY - 100
    assert used.expires_at == (used.last_active_at or 0) + DAY
    await later(home, DAY - 100)
    assert (await stores.retrieve(store.id)).status == "completed"
    await later(home, 200)
    gone = await stores.retrieve(store.id)
    assert (gone.status, gone.file_counts.total, gone.usage_bytes) == ("expired", 0, 0)
    assert (await home.openai.files.retrieve(file_id)).id == file_id
    await refused(stores.search(store.id, query="heron"), stores.files.create(store.id, file_id=file_id))
    assert await passages(home, store.id) == []
    assert "ragpod:lent" not in [model.id async for model in home.openai.models.list()]
    assert (await stores.delete(store.id)).deleted


async def test_an_expired_store_answers_nothing_before_any_upkeep(home: House) -> None:
    stores = home.openai.vector_stores
    store = await stores.create(name="lent", expires_after={"anchor": "last_active_at", "days": 1})
    await put(home, store.id, "heron.txt", "The heron nests in the reeds.")
    await later(home, DAY, upkeep=False)
    assert (await stores.retrieve(store.id)).status == "expired"
    await refused(stores.search(store.id, query="heron"), stores.update(store.id, name="again"))
    body = {"model": "ragpod:lent", "messages": [{"role": "user", "content": "Where does the heron nest?"}]}
    status, answer = await home.post("/v1/chat/completions", body)
    assert (status, answer["error"]["code"]) in ((404, "model_not_found"), (404, "vector_store_expired"))


async def refused(*calls: Any) -> None:
    for call in calls:
        with pytest.raises(openai.NotFoundError) as refusal:
            await call
        assert refusal.value.code == "vector_store_expired"


async def test_a_chat_over_a_store_is_a_use_of_it(home: House) -> None:
    store = await home.openai.vector_stores.create(name="used", expires_after={"anchor": "last_active_at", "days": 1})
    await put(home, store.id, "heron.txt", "The heron nests in the reeds.")
    before = (await home.openai.vector_stores.retrieve(store.id)).last_active_at or 0
    await later(home, 3600)
    body = {"model": "ragpod:used", "messages": [{"role": "user", "content": "Where does the heron nest?"}]}
    assert (await home.post("/v1/chat/completions", body))[0] == 200
    after = (await home.openai.vector_stores.retrieve(store.id)).last_active_at or 0
    assert after >= before + 3600


async def test_counts_are_true_at_each_moment(home: House) -> None:
    """Asked all the time while files are attached, indexed and removed by several callers at once."""
    stores = home.openai.vector_stores
    store = await stores.create(name="counted")
    seen: list[VectorStore] = []

    async def watch() -> None:
        while True:
            seen.append(await stores.retrieve(store.id))

    async def use(names: Sequence[str]) -> None:
        for name in names:
            file_id = await put(home, store.id, name, f"{name} {LONG[:2000]}")
            if int(name[:-4]) % 2:
                await stores.files.delete(file_id, vector_store_id=store.id)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*[use([f"{i}.txt" for i in range(first, first + 4)]) for first in (0, 4, 8)])
    watching.cancel()
    for moment in seen:
        counts = moment.file_counts
        assert counts.total == counts.in_progress + counts.completed + counts.failed + counts.cancelled
        assert (moment.status == "in_progress") == (counts.in_progress > 0)
    end = await stores.retrieve(store.id)
    files = [file async for file in stores.files.list(store.id)]
    assert (end.file_counts.completed, end.file_counts.total) == (6, 6)
    assert end.usage_bytes == sum(file.usage_bytes for file in files) > 0


async def test_every_failure_has_one_of_openais_codes(home: House) -> None:
    store = await home.openai.vector_stores.create(name="bad")
    for name, content, code in (
        ("empty.txt", b"   ", "invalid_file"),
        ("photo.xyz", b"\x00\x01\xff", "unsupported_file"),
        ("broken.jsonl", b"{not json", "invalid_file"),
    ):
        done = await home.openai.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=(name, content), poll_interval_ms=20
        )
        assert (done.status, done.last_error and done.last_error.code) == ("failed", code)
    counts = (await home.openai.vector_stores.retrieve(store.id)).file_counts
    assert (counts.failed, counts.total) == (3, 3)


async def test_attributes_are_cleared_by_null_and_numbers_must_be_finite(home: House) -> None:
    store = await home.openai.vector_stores.create(name="attributes")
    file_id = await put(home, store.id, "heron.txt", "The heron.", attributes={"a": 1})
    files = home.openai.vector_stores.files
    assert (await files.update(file_id, vector_store_id=store.id, attributes=None)).attributes == {}
    url = f"{home.url}/v1/vector_stores/{store.id}/files/{file_id}"
    for value in ("NaN", "1e999", "-Infinity"):
        body = f'{{"attributes": {{"a": {value}}}}}'
        async with home.http.post(url, data=body, headers={"Content-Type": "application/json"}) as response:
            assert response.status == 400


@pytest.mark.parametrize(
    "body",
    [r'{"file_ids": ["\ud800"]}', r'{"name": "\ud800"}', r'{"metadata": {"\ud800": "x"}}', "[]", "null", '"x"', ""],
)
async def test_a_body_that_no_database_takes_is_refused(home: House, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    async with home.http.post(f"{home.url}/v1/vector_stores", data=body, headers=headers) as response:
        assert response.status == 400
