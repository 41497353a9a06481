"""/v1/files through the official SDK."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types import FileDeleted, FileObject

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from retrieval.store.base.values import DAY
from tests.databases import old_data_folder
from tests.retrieval.blobs import s3
from tests.server.house import ENGLISH, House, house
from tests.server.openai.later import later

LAMBDA = ("notes.md", ENGLISH["lambda.md"].encode())
HEAD = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
HOUR = 3600


async def send(home: House, *parts: bytes) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with home.http.post(f"{home.url}/v1/files", data=b"".join(parts) + b"--b--\r\n", headers=headers) as response:
        return response.status, await response.json()


def part(name: str, value: str) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file_part(name: bytes, content: bytes = b"x") -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\n%b\r\n' % (name, content)


async def test_a_file_is_created_listed_read_and_deleted(home: House) -> None:
    files = home.openai.files
    made = await files.create(file=("노트 1.txt", "안녕하세요".encode()), purpose="assistants")
    assert (made.object, made.filename, made.bytes, made.status) == ("file", "노트 1.txt", 15, "processed")
    assert made.expires_at is None
    assert (await files.retrieve(made.id)).created_at == made.created_at
    assert (await files.content(made.id)).text == "안녕하세요"
    assert made.id in [file.id async for file in files.list()]
    assert (await files.delete(made.id)).deleted
    for call in (files.retrieve, files.content, files.delete):
        with pytest.raises(openai.NotFoundError):
            await call(made.id)


async def test_files_are_valid_under_the_sdks_own_types(home: House) -> None:
    made = await home.openai.files.create(file=LAMBDA, purpose="assistants")
    _, shown = await home.get(f"/v1/files/{made.id}")
    FileObject.model_validate(shown, strict=True)
    async with home.http.delete(f"{home.url}/v1/files/{made.id}") as response:
        FileDeleted.model_validate(await response.json(), strict=True)


@pytest.mark.parametrize("purpose", ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"])
async def test_openais_purposes_are_taken_and_listed_apart(home: House, purpose: Any) -> None:
    made = await home.openai.files.create(file=("p.jsonl", b"{}"), purpose=purpose)
    assert made.purpose == purpose
    assert (await home.openai.files.list(purpose=purpose, limit=1)).data[0].id == made.id
    assert made.expires_at == (made.created_at + 30 * DAY if purpose == "batch" else None)


async def test_the_same_bytes_are_one_file_for_each_name_and_purpose(home: House) -> None:
    files = home.openai.files
    one, two = [await files.create(file=LAMBDA, purpose="assistants") for _ in range(2)]
    other_purpose = await files.create(file=LAMBDA, purpose="user_data")
    other_name = await files.create(file=("b.md", LAMBDA[1]), purpose="assistants")
    assert one.id == two.id
    assert len({one.id, other_purpose.id, other_name.id}) == 3
    await files.delete(one.id)
    assert (await files.content(other_purpose.id)).content == LAMBDA[1]
    again = await files.create(file=LAMBDA, purpose="assistants")
    assert again.id != one.id
    assert (await files.content(again.id)).content == LAMBDA[1]


async def test_the_same_upload_eight_times_at_once_is_one_document(home: House) -> None:
    store = await home.openai.vector_stores.create(name="eight")
    content = b"# Parcels\n\nThe parcel QZ81 was sent once."

    async def put() -> str:
        file = await home.openai.files.create(file=("parcel.md", content), purpose="assistants")
        await home.openai.vector_stores.files.create_and_poll(
            vector_store_id=store.id, file_id=file.id, poll_interval_ms=50
        )
        return file.id

    ids = await asyncio.gather(*(put() for _ in range(8)))
    attached = await home.openai.vector_stores.files.list(store.id)
    assert {file.id for file in attached.data} == set(ids) == {ids[0]}
    found = await home.openai.vector_stores.search(store.id, query="QZ81")
    assert [file.filename for file in found.data] == ["parcel.md"]
    assert (await home.openai.vector_stores.retrieve(store.id)).file_counts.completed == 1


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_every_page_is_reached_in_both_orders(home: House, order: Any) -> None:
    made = [(await home.openai.files.create(file=(f"{i}.txt", b"x"), purpose="user_data")).id for i in range(5)]
    expected = made if order == "asc" else made[::-1]
    page = await home.openai.files.list(purpose="user_data", limit=2, order=order)
    assert ([file.id for file in page.data], page.has_more) == (expected[:2], True)
    assert [file.id async for file in page] == expected


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=10001", "limit"), ("order=up", "order"), ("after=file-unknown", "after")],
)
async def test_a_bad_page_is_refused_by_name(home: House, query: str, param: str) -> None:
    status, answer = await home.get(f"/v1/files?{query}")
    assert (status, answer["error"]["param"]) == (400, param)


async def test_a_file_is_gone_when_its_time_is_over_from_stores_too(home: House) -> None:
    files, stores = home.openai.files, home.openai.vector_stores
    store = await stores.create(name="hours")
    made = await files.create(
        file=LAMBDA, purpose="assistants", expires_after={"anchor": "created_at", "seconds": HOUR}
    )
    assert made.expires_at == made.created_at + HOUR
    await stores.files.create_and_poll(made.id, vector_store_id=store.id, poll_interval_ms=20)
    await later(home, HOUR - 60)
    assert (await stores.search(store.id, query="lambda")).data
    await later(home, 120)
    for gone in (files.retrieve(made.id), stores.files.retrieve(made.id, vector_store_id=store.id)):
        with pytest.raises(openai.NotFoundError):
            await gone
    assert (await stores.search(store.id, query="lambda")).data == []
    assert made.id not in [file.id async for file in files.list()]
    assert (await stores.retrieve(store.id)).file_counts.total == 0


async def test_a_file_is_not_found_from_its_last_second_on_before_any_upkeep(home: House) -> None:
    made = await home.openai.files.create(
        file=LAMBDA, purpose="assistants", expires_after={"anchor": "created_at", "seconds": HOUR}
    )
    await later(home, HOUR, upkeep=False)
    with pytest.raises(openai.NotFoundError):
        await home.openai.files.retrieve(made.id)
    assert made.id not in [file.id async for file in home.openai.files.list()]
    again = await home.openai.files.create(file=LAMBDA, purpose="assistants")
    assert again.id != made.id


async def test_the_same_bytes_stay_as_long_as_the_longest_lived_upload_wants(home: House) -> None:
    async def upload(seconds: int | None) -> FileObject:
        expiry = {"expires_after": {"anchor": "created_at", "seconds": seconds}} if seconds else {}
        return await home.openai.files.create(file=LAMBDA, purpose="assistants", **expiry)  # type: ignore[arg-type]

    short = await upload(HOUR)
    assert (await upload(2 * HOUR)).expires_at == pytest.approx(short.created_at + 2 * HOUR, abs=60)
    assert (await upload(HOUR)).expires_at == pytest.approx(short.created_at + 2 * HOUR, abs=60)
    kept = await upload(None)
    assert (kept.id, kept.expires_at) == (short.id, None)
    assert (await upload(HOUR)).expires_at is None


@pytest.mark.parametrize("seconds", [3599, 2_592_001])
async def test_a_lifetime_outside_openais_bounds_is_refused(home: House, seconds: int) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await home.openai.files.create(
            file=LAMBDA, purpose="assistants", expires_after={"anchor": "created_at", "seconds": seconds}
        )
    assert refused.value.param == "expires_after[seconds]"


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([HEAD], "file"),
        ([file_part(b"a.txt")], "purpose"),
        ([part("purpose", "secret"), file_part(b"a.txt")], "purpose"),
        ([HEAD, part("file", "not a file")], "file"),
        ([HEAD, file_part(b"a.txt", b"")], "file"),
        ([HEAD, file_part(b"a.txt"), part("colour", "red")], "colour"),
        ([HEAD, file_part(b"a.txt"), part("expires_after[seconds]", "3600")], "expires_after"),
        ([HEAD, file_part(b"a.txt"), part("expires_after[anchor]", "now")], "expires_after[anchor]"),
        *[([HEAD, file_part(name)], "file") for name in (b"", b"a\x00b.txt", b"a\x1bb.txt", b"x" * 600 + b".txt")],
    ],
)
async def test_a_bad_upload_is_refused_by_name(home: House, parts: list[bytes], param: str) -> None:
    status, answer = await send(home, *parts)
    assert (status, answer["error"]["param"]) == (400, param)


async def test_content_is_never_served_as_a_page(home: House) -> None:
    made = await home.openai.files.create(file=("x.html", b"<script>alert(1)</script>"), purpose="assistants")
    async with home.http.get(f"{home.url}/v1/files/{made.id}/content") as response:
        assert response.headers["content-disposition"] == "attachment"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.content_type == "application/octet-stream"


@pytest.mark.parametrize("way", ["file", "store file", "store"])
async def test_a_deleted_file_is_in_no_file_of_the_data_directory(home: House, way: str) -> None:
    files, stores, mark = home.openai.files, home.openai.vector_stores, "Quokkaberry"
    store = await stores.create(name="jam")
    made = await files.create(file=(f"{mark}.txt", f"{mark} jam keeps for a year.".encode()), purpose="assistants")
    await stores.files.create_and_poll(
        made.id, vector_store_id=store.id, attributes={"fruit": mark}, poll_interval_ms=20
    )
    assert (await stores.search(store.id, query=f"{mark} jam")).data
    if way == "store file":
        await stores.files.delete(made.id, vector_store_id=store.id)
    elif way == "store":
        await stores.delete(store.id)
    await files.delete(made.id)
    await asyncio.to_thread(home.parts.library.upkeep.run)
    left = [path for path in home.parts.settings.data_dir.rglob("*") if path.is_file()]
    assert [path.name for path in left if mark.encode() in path.read_bytes()] == []
    assert [path.name for path in left if mark.lower().encode() in path.read_bytes().lower()] == []


async def test_originals_may_be_kept_in_a_bucket(
    tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.KEYS.items():
        monkeypatch.setenv(name, value)
    with s3.running(tmp_path / "s3") as bucket:
        async with house(tmp_path / "data", embedder, tokenizer, store={"blobs": bucket.url}) as home:
            store = await home.ingest("kept", {"heron.txt": "A heron stands on one leg."})
            file = (await home.openai.files.list()).data[0]
            assert (await home.openai.files.content(file.id)).content == b"A heron stands on one leg."
            held = {path.name for path in bucket.folder.rglob("*") if path.is_file()}
            assert len(held) == 2  # with the one that keeps the folder
            await home.openai.vector_stores.delete(store)
            await home.openai.files.delete(file.id)
            await asyncio.to_thread(home.parts.library.upkeep.run)
            assert len({path.name for path in bucket.folder.rglob("*") if path.is_file()}) == 1
        assert list((tmp_path / "data" / "uploads").iterdir()) == []


async def test_a_data_folder_of_before_answers_from_what_it_had(
    tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer
) -> None:
    async with house(old_data_folder(tmp_path / "old", "cf3180e"), embedder, tokenizer) as home:
        files = (await home.openai.files.list()).data
        assert files
        for file in files:
            assert len((await home.openai.files.content(file.id)).content) == file.bytes
        main = next(store for store in (await home.openai.vector_stores.list()).data if store.name == "main")
        assert main.file_counts.completed == 3
        found = await home.openai.vector_stores.search(main.id, query="환불", max_num_results=3)
        assert found.data
        assert await asyncio.to_thread(home.parts.library.indexes.check) == []
        done = await home.openai.vector_stores.files.upload_and_poll(vector_store_id=main.id, file=("new.txt", b"new"))
        assert done.status == "completed"
