"""A bucket that a store follows: a real S3 server, and one that pages and fails as it is told."""

import gzip
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from models.embedders.e5 import E5Embedder
from retrieval.passages.tokenize import Tokenizer
from server.cli.base.client import Client
from server.cli.base.terminal import CommandError
from server.cli.sources.bucket import Bucket
from server.cli.sources.following import Followed
from tests.retrieval.blobs import s3
from tests.server.house import House, house

pytestmark = pytest.mark.asyncio
NAMES = ("a.md", "below/b.md", "100% 가나 & q?x=1#y.md", "[x]{y}~^+=.md", "Ünï/😀.md")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**s3.KEYS, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def home(tmp_path: Path, embedder: E5Embedder, tokenizer: Tokenizer) -> AsyncIterator[House]:
    async with house(tmp_path / "data", embedder, tokenizer) as opened:
        yield opened


@pytest.fixture
async def client(home: House) -> AsyncIterator[Client]:
    async with Client.open(home.url, None, "default") as opened:
        yield opened


@pytest.fixture
def server(tmp_path: Path) -> Iterator[s3.Server]:
    with s3.running(tmp_path / "s3") as running:
        for name in NAMES:
            write(running, name)
        yield running


def write(server: s3.Server, name: str, more: str = "") -> None:
    path = server.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {name}\n\nThis is the text of it. {more}")


async def follow(client: Client, url: str, *, removes: bool = True, max_bytes: int = 1 << 20) -> int:
    return await Followed(Bucket(url, max_bytes=max_bytes), removes).follow(client, "default", as_json=False)


async def names(client: Client) -> set[str]:
    files = set((await client.files(await client.ensure_store("default"))).values())
    return {name.removeprefix("originals/kept/here/") for name in files}


async def test_objects_come_by_their_names_however_odd_and_leave_with_them(
    client: Client, server: s3.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    write(server, ".hidden/c.md")
    assert await follow(client, server.url) == 0
    assert f"{len(NAMES)} added" in capsys.readouterr().out
    assert await names(client) == set(NAMES)
    (server.folder / "below/b.md").unlink()
    write(server, "a.md", "It is another one.")
    write(server, "new.md")
    assert await follow(client, server.url) == 0
    told = capsys.readouterr().out
    assert "1 added, 1 changed, 3 unchanged" in told
    assert "removed    s3://originals/kept/here/below/b.md" in told
    assert await names(client) == {*NAMES, "new.md"} - {"below/b.md"}


async def test_a_bucket_that_is_empty_or_away_removes_nothing(
    client: Client, server: s3.Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await follow(client, server.url) == 0
    for name in NAMES:
        (server.folder / name).unlink()
    assert await follow(client, server.url) == 1
    assert "lists nothing, and the store has 5 of it" in capsys.readouterr().err
    server.process.kill()
    server.process.wait()
    assert await follow(client, server.url) == 1
    assert "nothing is removed: the list is not whole" in capsys.readouterr().err
    assert await names(client) == set(NAMES)


async def test_another_prefix_of_the_bucket_is_another_source(client: Client, server: s3.Server) -> None:
    await follow(client, server.url)
    (server.folder / "below/b.md").unlink()
    write(server, "below/c.md")
    await follow(client, server.url.replace("kept/here", "kept/here/below"))
    assert await names(client) == {*NAMES, "below/c.md"}


class Objects:
    """A bucket of ListObjectsV2 and GetObject, `page` keys a page. broken: the answer to the page of that number."""

    def __init__(self, contents: dict[str, bytes], page: int = 2) -> None:
        self.contents, self.page = contents, page
        self.broken: dict[int, int] = {}
        self.headers: dict[str, str] = {}

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if "list-type" in query:
            self._list(request, int(query.get("continuation-token", "0")))
            return
        key = unquote(parts.path).removeprefix(f"/{s3.BUCKET}/")
        if key not in self.contents:
            s3.answer(request, 404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            headers = {"ETag": etag(self.contents[key]), "Last_Modified": "Sat, 28 Nov 2026 01:57:10 GMT"}
            s3.answer(request, 200, self.contents[key], **headers, **self.headers)

    def _list(self, request: BaseHTTPRequestHandler, number: int) -> None:
        if number in self.broken:
            s3.answer(request, self.broken[number], b"<Error><Code>AccessDenied</Code></Error>")
            return
        keys = sorted(self.contents)[number * self.page : (number + 1) * self.page]
        more = (number + 1) * self.page < len(self.contents)
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-28T01:57:10.000Z</LastModified>"
            f"<ETag>{escape(etag(self.contents[key]))}</ETag><Size>{len(self.contents[key])}</Size></Contents>"
            for key in keys
        )
        rest = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        rest += f"<NextContinuationToken>{number + 1}</NextContinuationToken>" if more else ""
        body = f"<ListBucketResult><Name>b</Name><KeyCount>{len(keys)}</KeyCount>{rest}{entries}</ListBucketResult>"
        s3.answer(request, 200, body.encode(), Content_Type="application/xml")


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


@contextmanager
def bucket(**contents: str) -> Iterator[tuple[Objects, str, list[str]]]:
    objects = Objects({f"{name}.md": text.encode() for name, text in contents.items()})
    with s3.answering(objects) as (url, came):
        yield objects, url, came


FIVE = {name: f"# {name}\n\nThis is {name}." for name in "abcde"}


async def test_a_list_comes_in_pages_and_what_is_unchanged_is_not_read(client: Client) -> None:
    with bucket(**FIVE) as (objects, url, came):
        assert await follow(client, url) == 0
        assert len([line for line in came if "list-type" in line]) == 3
        assert await names(client) == {f"originals/{name}.md" for name in FIVE}
        came.clear()
        objects.contents["b.md"] = b"# b\n\nAnother text."
        assert await follow(client, url) == 0
        assert [line for line in came if "list-type" not in line] == [f"GET /{s3.BUCKET}/b.md"]


async def test_a_list_that_breaks_off_half_way_removes_nothing_and_gives_what_it_has(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    with bucket(**FIVE) as (objects, url, _):
        assert await follow(client, url) == 0
        del objects.contents["a.md"]
        objects.contents["b.md"] = b"# b\n\nAnother text."
        objects.broken[1] = 403
        assert await follow(client, url) == 1
        told = capsys.readouterr()
        assert "the bucket does not answer as it should" in told.err
        assert "403 AccessDenied" in told.err
        assert "1 changed" in told.out
        assert await names(client) == {f"originals/{name}.md" for name in FIVE}
        objects.broken.clear()
        assert await follow(client, url) == 0
        assert await names(client) == {f"originals/{name}.md" for name in "bcde"}


@pytest.mark.parametrize("key", ["a/../b.md", "a//b.md", "tab\tb.md"])
async def test_a_name_that_no_path_can_have_is_told_and_removes_nothing(
    client: Client, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    with bucket(**FIVE) as (objects, url, _):
        objects.contents = {name: text for name, text in objects.contents.items() if name < "c"}
        assert await follow(client, url) == 0
        del objects.contents["b.md"]
        objects.contents[key] = b"odd"
        assert await follow(client, url) == 1
        assert "name is no path" in capsys.readouterr().err
        assert await names(client) == {"originals/a.md", "originals/b.md"}


async def test_names_that_look_the_same_are_two(client: Client) -> None:
    with bucket() as (objects, url, _):
        objects.contents = {"\uac00.md": "# 하나\n\n첫째 글.".encode(), "\u1100\u1161.md": "# 둘\n\n둘째 글.".encode()}
        assert await follow(client, url) == 0
        assert len(await names(client)) == 2
        assert await follow(client, url) == 0


async def test_a_large_object_is_not_read_and_a_packed_one_no_further_than_allowed(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    with bucket(**FIVE) as (objects, url, came):
        objects.contents = {"large.md": b"x" * 2000, "packed.md": gzip.compress(b"# Packed\n\nIt is packed.")}
        objects.headers = {"Content_Encoding": "gzip"}
        assert await follow(client, url, max_bytes=1000) == 1
        assert "2,000 bytes, more than 1,000" in capsys.readouterr().out
        assert not [line for line in came if "large.md" in line]
        assert await names(client) == {"originals/packed.md"}
        objects.contents = {"bomb.md": gzip.compress(b"x" * 100_000)}
        assert await follow(client, url, max_bytes=1000, removes=False) == 1
        assert "larger than 1,000 bytes, unpacked" in capsys.readouterr().out


async def test_an_object_that_goes_between_list_and_reading_is_no_document(client: Client) -> None:
    with bucket(**FIVE) as (objects, url, _):
        listed = objects.contents

        class Lost(dict[str, bytes]):
            def __contains__(self, key: object) -> bool:
                return key != "c.md" and super().__contains__(key)

        objects.contents = Lost(listed)
        assert await follow(client, url) == 1
        assert await names(client) == {f"originals/{name}.md" for name in "abde"}


async def test_what_is_no_bucket_stops_the_command() -> None:
    with pytest.raises(CommandError, match="a bucket is s3://"):
        Bucket("s3://", max_bytes=1)
