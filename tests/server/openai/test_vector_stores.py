"""Files, vector stores and search through the official SDK."""

from typing import Any

import openai
import pytest

from tests.server.house import ENGLISH, KOREAN, House

LAMBDA = ("lambda.md", ENGLISH["lambda.md"].encode())


async def test_a_file_is_created_listed_read_and_deleted(home: House) -> None:
    files = home.openai.files
    made = await files.create(file=("노트 1.txt", "안녕하세요".encode()), purpose="assistants")
    assert (made.object, made.filename, made.bytes, made.status) == ("file", "노트 1.txt", 15, "processed")
    assert (await files.retrieve(made.id)).created_at == made.created_at
    assert (await files.content(made.id)).text == "안녕하세요"
    assert made.id in [file.id async for file in files.list()]
    assert (await files.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await files.retrieve(made.id)


async def test_the_same_bytes_under_the_same_name_are_the_same_file(home: House) -> None:
    one, two = [await home.openai.files.create(file=LAMBDA, purpose="assistants") for _ in range(2)]
    assert one.id == two.id


async def test_lists_go_on_after_a_cursor_until_the_end(home: House) -> None:
    made = [(await home.openai.files.create(file=(f"{i}.txt", b"x"), purpose="user_data")).id for i in range(5)]
    page = await home.openai.files.list(purpose="user_data", limit=2, order="asc")
    assert ([file.id for file in page.data], page.has_more) == (made[:2], True)
    assert [file.id async for file in page] == made
    stores = [(await home.openai.vector_stores.create(name=f"s{i}")).id for i in range(3)]
    assert [s.id async for s in home.openai.vector_stores.list(limit=2, order="desc")][:3] == stores[::-1]


@pytest.mark.parametrize("name", [b"", b"a\x00b.txt", b"a\x1bb.txt", b"x" * 600 + b".txt"])
async def test_a_file_needs_a_printable_name_of_bounded_length(home: House, name: bytes) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n--b\r\n'
    part = b'Content-Disposition: form-data; name="file"; filename="%b"\r\n\r\nx\r\n--b--\r\n' % name
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with home.http.post(f"{home.url}/v1/files", data=head + part, headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["error"]["param"] == "file"


async def test_content_is_never_served_as_a_page(home: House) -> None:
    made = await home.openai.files.create(file=("x.html", b"<script>alert(1)</script>"), purpose="assistants")
    async with home.http.get(f"{home.url}/v1/files/{made.id}/content") as response:
        assert response.headers["content-disposition"] == "attachment"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.content_type == "application/octet-stream"


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


async def test_a_batch_is_watched_as_one(home: House) -> None:
    stores = home.openai.vector_stores
    store = await stores.create(name="batch")
    ids = [
        (await home.openai.files.create(file=(name, text.encode()), purpose="assistants")).id
        for name, text in KOREAN.items()
    ]
    batch = await stores.file_batches.create_and_poll(store.id, file_ids=ids, poll_interval_ms=20)
    assert (batch.status, batch.file_counts.completed, batch.file_counts.total) == ("completed", 3, 3)
    listed = await stores.file_batches.list_files(batch.id, vector_store_id=store.id)
    assert {file.id for file in listed.data} == set(ids)
    cancelled = await stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert cancelled.file_counts.completed == 3


@pytest.mark.parametrize("body", [{}, {"file_ids": []}, {"file_ids": ["a"], "files": [{"file_id": "a"}]}])
async def test_a_batch_needs_exactly_one_list(home: House, body: dict[str, Any]) -> None:
    store = await home.openai.vector_stores.create(name="batch")
    assert (await home.post(f"/v1/vector_stores/{store.id}/file_batches", body))[0] == 400


async def test_an_unknown_file_makes_no_batch_and_no_store(home: House) -> None:
    store = await home.openai.vector_stores.create(name="batch")
    file = await home.openai.files.create(file=LAMBDA, purpose="assistants")
    ids = [file.id, "file-unknown"]
    assert (await home.post(f"/v1/vector_stores/{store.id}/file_batches", {"file_ids": ids}))[0] == 404
    assert (await home.post("/v1/vector_stores", {"name": "new", "file_ids": ids}))[0] == 404
    assert (await home.openai.vector_stores.files.list(store.id)).data == []
    assert "new" not in [store.name async for store in home.openai.vector_stores.list()]


async def test_search_ranks_filters_and_explains(home: House) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    path = f"/v1/vector_stores/{store.id}/search"
    status, found = await home.post(path, {"query": "closing a file", "ragpod": {"explain": True}})
    assert status == 200
    assert found["object"] == "vector_store.search_results.page"
    assert found["data"][0]["filename"] == "with.md"
    assert found["data"][0]["content"][0]["type"] == "text"
    assert {"timings_ms", "counts", "degraded", "skipped", "candidates"} == found["ragpod"].keys()
    scores = [result["score"] for result in found["data"]]
    assert scores == sorted(scores, reverse=True)
    for file in (await home.openai.vector_stores.files.list(store.id)).data:
        year = 2024 if file.id == found["data"][0]["file_id"] else 1999
        await home.openai.vector_stores.files.update(file.id, vector_store_id=store.id, attributes={"year": year})
    filters = {"type": "lt", "key": "year", "value": 2000}
    _, filtered = await home.post(path, {"query": "closing a file", "filters": filters})
    assert [result["filename"] for result in filtered["data"]] == ["lambda.md"]


async def test_search_takes_several_queries_a_limit_and_a_threshold(home: House) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    page = await home.openai.vector_stores.search(store.id, query=["lambda", "with statement"], max_num_results=1)
    assert len(page.data) == 1
    page = await home.openai.vector_stores.search(
        store.id, query="lambda", ranking_options={"score_threshold": 1.0, "ranker": "none"}
    )
    assert page.data == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": ""},
        {"query": []},
        {"query": "x", "max_num_results": 51},
        {"query": "x", "filters": {"type": "like", "key": "a", "value": "b"}},
        {"query": "x", "filters": {"type": "eq", "key": 'a" OR 1=1 --', "value": "b"}},
        {"query": "x", "vdb_endpoint": "http://127.0.0.1:1"},
    ],
)
async def test_a_bad_search_is_refused(home: House, body: dict[str, Any]) -> None:
    (store,) = [s async for s in home.openai.vector_stores.list() if s.name == "python"]
    status, answer = await home.post(f"/v1/vector_stores/{store.id}/search", body)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("attributes", [{"k": "x" * 600}, {"k" * 70: "x"}, {f"k{i}": 1 for i in range(20)}, {"k": [1]}])
async def test_attributes_are_bounded(home: House, attributes: dict[str, Any]) -> None:
    store = await home.openai.vector_stores.create(name="bounded")
    file = await home.openai.files.create(file=LAMBDA, purpose="assistants")
    body = {"file_id": file.id, "attributes": attributes}
    assert (await home.post(f"/v1/vector_stores/{store.id}/files", body))[0] == 400
