"""Batches of files through the official SDK."""

from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.vector_stores import VectorStoreFileBatch

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from tests.server.house import KOREAN, House, house


async def uploaded(home: House, count: int) -> list[str]:
    files = [(f"{i}.txt", f"text number {i}".encode()) for i in range(count)]
    return [(await home.openai.files.create(file=file, purpose="assistants")).id for file in files]


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
    _, shown = await home.get(f"/v1/vector_stores/{store.id}/file_batches/{batch.id}")
    progress = shown["ragpod"]["progress"]
    assert progress["files"] == shown["file_counts"]
    assert progress["passages"] == progress["passages_known"] >= 3
    assert (progress["files_to_parse"], progress["seconds_left"]) == (0, None)
    cancelled = await stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert cancelled.file_counts.completed == 3


@pytest.mark.parametrize("body", [{}, {"file_ids": []}, {"file_ids": ["a"], "files": [{"file_id": "a"}]}])
async def test_a_batch_needs_exactly_one_list(home: House, body: dict[str, Any]) -> None:
    store = await home.openai.vector_stores.create(name="batch")
    assert (await home.post(f"/v1/vector_stores/{store.id}/file_batches", body))[0] == 400


async def test_each_file_of_a_batch_has_its_own_settings_or_the_common_ones(home: House) -> None:
    stores = home.openai.vector_stores
    store = await stores.create(name="own")
    first, second, third = await uploaded(home, 3)
    sizes: Any = {"type": "static", "static": {"max_chunk_size_tokens": 300, "chunk_overlap_tokens": 30}}
    own: Any = [{"file_id": first, "attributes": {"n": 1}}, {"file_id": second, "chunking_strategy": sizes}]
    await stores.file_batches.create_and_poll(store.id, files=own, poll_interval_ms=20)
    await stores.file_batches.create_and_poll(
        store.id, file_ids=[third], attributes={"n": 3}, chunking_strategy=sizes, poll_interval_ms=20
    )
    shown = [await stores.files.retrieve(each, vector_store_id=store.id) for each in (first, second, third)]
    assert [file.attributes for file in shown] == [{"n": 1}, {}, {"n": 3}]
    cut = [file.chunking_strategy and file.chunking_strategy.model_dump()["static"] for file in shown]
    assert [each and each["max_chunk_size_tokens"] for each in cut] == [180, 300, 300]


async def test_a_batch_is_valid_under_the_sdks_own_type(home: House) -> None:
    store = await home.openai.vector_stores.create(name="valid")
    body = {"file_ids": await uploaded(home, 1)}
    _, made = await home.post(f"/v1/vector_stores/{store.id}/file_batches", body)
    VectorStoreFileBatch.model_validate(made, strict=True)
    await home.openai.vector_stores.file_batches.poll(made["id"], vector_store_id=store.id, poll_interval_ms=20)


async def test_files_are_uploaded_attached_and_waited_for_in_one_call(home: House) -> None:
    store = await home.openai.vector_stores.create(name="upload")
    files = [(name, text.encode()) for name, text in KOREAN.items()]
    batch = await home.openai.vector_stores.file_batches.upload_and_poll(store.id, files=files, poll_interval_ms=20)
    assert (batch.status, batch.file_counts.completed) == ("completed", 3)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_every_page_of_a_batch_is_reached_in_both_orders(home: House, order: Any) -> None:
    batches = home.openai.vector_stores.file_batches
    store = await home.openai.vector_stores.create(name="pages")
    ids = await uploaded(home, 5)
    batch = await batches.create_and_poll(store.id, file_ids=ids, poll_interval_ms=20)
    listed = batches.list_files(batch.id, vector_store_id=store.id, limit=2, order=order)
    assert [file.id async for file in listed] == ids[:: 1 if order == "asc" else -1]
    page = await batches.list_files(batch.id, vector_store_id=store.id, limit=2, order="asc", before=ids[3])
    assert ([file.id for file in page.data], page.has_more) == (ids[1:3], True)
    assert [f.id async for f in batches.list_files(batch.id, vector_store_id=store.id, filter="failed")] == []
    with pytest.raises(openai.BadRequestError) as refused:
        await batches.list_files(batch.id, vector_store_id=store.id, after="file-unknown")
    assert refused.value.param == "after"


async def test_counts_stay_when_a_file_of_the_batch_is_deleted_afterwards(home: House) -> None:
    stores = home.openai.vector_stores
    store = await stores.create(name="counts")
    first, second, third = await uploaded(home, 3)
    batch = await stores.file_batches.create_and_poll(store.id, file_ids=[first, second, third], poll_interval_ms=20)
    await stores.files.delete(first, vector_store_id=store.id)
    await home.openai.files.delete(second)
    later = await stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
    assert (later.status, later.file_counts) == ("completed", batch.file_counts)
    left = await stores.file_batches.list_files(batch.id, vector_store_id=store.id)
    assert [file.id for file in left.data] == [third]


async def test_a_file_named_twice_counts_once_unless_it_is_named_in_two_ways(home: House) -> None:
    stores = home.openai.vector_stores
    store = await stores.create(name="twice")
    (file_id,) = await uploaded(home, 1)
    batch = await stores.file_batches.create_and_poll(store.id, file_ids=[file_id, file_id], poll_interval_ms=20)
    assert (batch.file_counts.completed, batch.file_counts.total) == (1, 1)
    two: Any = [{"file_id": file_id, "attributes": {"n": n}} for n in (1, 2)]
    with pytest.raises(openai.BadRequestError) as refused:
        await stores.file_batches.create(store.id, files=two)
    assert refused.value.param == "files[1]"


async def test_a_cancelled_batch_says_so_and_what_is_indexed_stays(home: House) -> None:
    """The ingestor is held, so that the second batch is still in progress when it is cancelled."""
    stores = home.openai.vector_stores
    store = await stores.create(name="cancel")
    ids = await uploaded(home, 4)
    done = await stores.file_batches.create_and_poll(store.id, file_ids=ids[:2], poll_interval_ms=20)
    await home.parts.library.ingestor.aclose()
    held = await stores.file_batches.create(store.id, file_ids=ids)
    assert (held.status, held.file_counts.completed, held.file_counts.in_progress) == ("in_progress", 2, 2)
    assert (await stores.retrieve(store.id)).status == "in_progress"
    cancelled = await stores.file_batches.cancel(held.id, vector_store_id=store.id)
    assert (cancelled.status, cancelled.file_counts.completed, cancelled.file_counts.cancelled) == ("cancelled", 2, 2)
    assert (await stores.file_batches.cancel(done.id, vector_store_id=store.id)).status == "completed"


async def test_a_batch_survives_a_restart(data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> None:
    async with house(data_dir, embedder, tokenizer) as home:
        store = await home.openai.vector_stores.create(name="restart")
        await home.parts.library.ingestor.aclose()
        batch = await home.openai.vector_stores.file_batches.create(store.id, file_ids=await uploaded(home, 3))
        assert batch.file_counts.in_progress == 3
    async with house(data_dir, embedder, tokenizer) as home:
        done = await home.openai.vector_stores.file_batches.poll(
            batch.id, vector_store_id=store.id, poll_interval_ms=20
        )
        assert (done.status, done.file_counts.completed) == ("completed", 3)


async def test_an_unknown_batch_or_store_is_404(home: House) -> None:
    store = await home.openai.vector_stores.create(name="none")
    other = await home.openai.vector_stores.create(name="other")
    batch = await home.openai.vector_stores.file_batches.create(other.id, file_ids=await uploaded(home, 1))
    for call in (home.openai.vector_stores.file_batches.retrieve, home.openai.vector_stores.file_batches.cancel):
        for batch_id in ("vsfb_unknown", batch.id):
            with pytest.raises(openai.NotFoundError):
                await call(batch_id, vector_store_id=store.id)
