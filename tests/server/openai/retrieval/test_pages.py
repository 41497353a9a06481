"""One page of a PDF over a real socket, drawn in a real child."""

import asyncio
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.openai.retrieval.pages import WIDTH
from tests.retrieval.parsing.pdf.files import pdf, said
from tests.server.house import House, house
from tests.shared import HOSTILE, OK, needs_shared
from tests.until import PATIENCE, until

TWO = pdf(said(72, 700, "Hello there"), said(72, 700, "Second page"))
pytestmark = pytest.mark.house("module")


async def put(home: House, name: str = "a.pdf", content: bytes = TWO) -> str:
    return (await home.openai.files.create(file=(name, content), purpose="assistants")).id


async def get(
    home: House, path: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes, Mapping[str, str]]:
    async with home.http.request(method, f"{home.url}/v1/files/{path}", headers=headers) as response:
        return response.status, await response.read(), response.headers


async def refusal(home: House, path: str) -> tuple[int, str | None, str]:
    status, body = await home.get(f"/v1/files/{path}")
    assert set(body) == {"error"}
    return status, body["error"]["code"], body["error"]["message"]


def width(png: bytes) -> int:
    assert png.startswith(b"\x89PNG")
    return int(struct.unpack(">I", png[16:20])[0])


async def test_a_page_is_a_picture_as_wide_as_is_asked(home: House) -> None:
    file = await put(home)
    status, png, headers = await get(home, f"{file}/pages/1")
    assert (status, headers["Content-Type"], width(png)) == (200, "image/png", WIDTH)
    assert headers["Cache-Control"].startswith("private")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert width((await get(home, f"{file}/pages/2?width=300"))[1]) == 300
    for wrong in ("15", "4001", "x", "-1"):
        assert (await refusal(home, f"{file}/pages/1?width={wrong}"))[0] == 400


@pytest.mark.parametrize(
    ("query", "accept"), [("?format=words", "*/*"), ("?format=words", "image/png"), ("", "application/json")]
)
async def test_its_words_have_boxes_in_points(home: House, query: str, accept: str) -> None:
    file = await put(home)
    async with home.http.get(f"{home.url}/v1/files/{file}/pages/2{query}", headers={"Accept": accept}) as response:
        assert response.content_type == "application/json"
        page = await response.json()
    words = page.pop("words")
    assert page == {"object": "file.page", "file_id": file, "page": 2, "pages": 2, "width": 600, "height": 800}
    assert [word["text"] for word in words] == ["Second", "page"]
    x0, y0, x1, y1 = words[0]["box"]
    assert 71 < x0 < 74 < x1 < 110
    assert 88 < y0 < y1 < 104


@pytest.mark.parametrize("accept", ["*/*", "image/avif,image/webp,*/*;q=0.8", "application/json, image/png"])
async def test_who_takes_pictures_gets_one(home: House, accept: str) -> None:
    file = await put(home)
    assert (await get(home, f"{file}/pages/1?width=20", headers={"Accept": accept}))[2]["Content-Type"] == "image/png"


async def test_what_the_client_has_is_not_drawn_again(home: House) -> None:
    file = await put(home)
    tag = (await get(home, f"{file}/pages/1?width=50"))[2]["ETag"]
    status, body, headers = await get(home, f"{file}/pages/1?width=50", headers={"If-None-Match": f'W/"x", {tag}'})
    assert (status, body, headers["ETag"]) == (304, b"", tag)
    for other in ("1?width=51", "2?width=50", "1?format=words"):
        status, _, headers = await get(home, f"{file}/pages/{other}", headers={"If-None-Match": tag})
        assert (status, headers["ETag"] != tag) == (200, True)


async def test_head_says_the_same_without_the_body(home: House) -> None:
    file = await put(home)
    _, png, shown = await get(home, f"{file}/pages/1?width=40")
    status, body, headers = await get(home, f"{file}/pages/1?width=40", "HEAD")
    assert (status, body) == (200, b"")
    assert [headers[name] for name in ("ETag", "Content-Type", "Content-Length")] == [
        *(shown[name] for name in ("ETag", "Content-Type")),
        str(len(png)),
    ]
    assert (await get(home, f"{file}/pages/3", "HEAD"))[0] == 404


async def test_no_such_page_and_no_such_file_are_not_found(home: House) -> None:
    file = await put(home)
    for page in ("0", "3", "-1", "99999999999999999999"):
        for query in ("", "?format=words"):
            status, code, _ = await refusal(home, f"{file}/pages/{page}{query}")
            assert (status, code) == (404, "not_found")
    assert (await refusal(home, "file-none/pages/1"))[:2] == (404, "not_found")
    await home.openai.files.delete(file)
    assert (await refusal(home, f"{file}/pages/1"))[:2] == (404, "not_found")


async def test_what_is_no_readable_pdf_is_refused(home: House) -> None:
    text = await put(home, "a.pdf", b"no PDF at all")
    assert (await refusal(home, f"{text}/pages/1"))[:2] == (400, "unsupported_file")
    damaged = await put(home, "b.pdf", b"%PDF-1.7 and no more")
    assert (await refusal(home, f"{damaged}/pages/1"))[:2] == (400, "invalid_file")
    fine = await put(home)
    assert (await get(home, f"{fine}/pages/1?width=20"))[0] == 200


@needs_shared
async def test_hostile_files_harm_no_other_page(home: House) -> None:
    for name, code in (("pypdf_r6-both-passwords.pdf", "encrypted_file"), ("made_formloop.pdf", "parser_failed")):
        file = await put(home, name, (HOSTILE / name).read_bytes())
        status, found, _ = await refusal(home, f"{file}/pages/1")
        assert (status, found) == (400, code)
    file = await put(home, "scan.pdf", next(OK.glob("*scan.pdf")).read_bytes())
    assert width((await get(home, f"{file}/pages/3?width=640"))[1]) == 640


async def test_it_is_described(home: House) -> None:
    _, described = await home.get("/openapi.json")
    operations = described["paths"]["/v1/files/{file_id}/pages/{page}"]
    assert set(operations) == {"get"}
    assert set(operations["get"]["responses"]["200"]["content"]) == {"image/png", "application/json"}


async def test_another_owners_file_is_not_found(data_dir: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> None:
    async with house(data_dir, embedder, tokenizer, keys={"one": "ann", "two": "bob"}) as home:
        file = await put(home)
        headers = {"Authorization": "Bearer two"}
        for path in (f"{file}/pages/1", f"{file}/pages/1?format=words"):
            tag = (await get(home, path))[2]["ETag"]
            assert (await get(home, path, headers=headers))[0] == 404
            assert (await get(home, path, headers=headers | {"If-None-Match": tag}))[0] == 404
        assert (await get(home, f"{file}/pages/1", headers={"Authorization": "Bearer no"}))[0] == 401


@pytest.mark.parametrize(("wait", "refused"), [(PATIENCE, [429] * 5), (0.05, [429] * 5 + [503] * 2)])
async def test_many_at_once_wait_for_their_turn_or_are_told_to_come_back(
    data_dir: Path,
    embedder: E5Embedder,
    tokenizer: Tokenizer,
    monkeypatch: pytest.MonkeyPatch,
    wait: float,
    refused: list[int],
) -> None:
    monkeypatch.setattr("server.app.build.VIEWS", 2)
    drawn = asyncio.Event()

    async def picture(content: bytes, filename: str, page: int, width: int) -> bytes:
        await drawn.wait()
        return b"picture"

    async with house(data_dir, embedder, tokenizer, limits={"queue_seconds": wait}) as home:
        monkeypatch.setattr(home.parts.library.viewers, "picture", picture)
        file = await put(home)
        asking = [asyncio.create_task(get(home, f"{file}/pages/1")) for _ in range(8)]
        await until(lambda: sum(task.done() for task in asking) == len(refused), PATIENCE)
        drawn.set()
        answers = [await task for task in asking]
    assert sorted(status for status, _, _ in answers if status != 200) == refused
    assert all("Retry-After" in headers for status, _, headers in answers if status != 200)
