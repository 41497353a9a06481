import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from retrieval.blobs.bucket import PART, BucketBlobs
from retrieval.blobs.errors import BlobMissing
from retrieval.database.errors import StoreFull, StoreUnavailable
from tests.ports import reserved_port
from tests.retrieval.blobs import s3
from tests.retrieval.blobs.files import content, digest_of, put, read
from tests.retrieval.blobs.killing import kill_while_putting
from tests.retrieval.blobs.s3 import Answer, Server, answer, answering

MIB = 1 << 20
DIGEST = digest_of(b"content")
LAST_MODIFIED = "Sat, 28 Nov 2026 01:57:10 GMT"
Call = Callable[[BucketBlobs, Path], object]
CALLS: dict[str, Call] = {
    "put": lambda blobs, path: blobs.put(DIGEST, path),
    "open": lambda blobs, _: blobs.open(DIGEST),
    "has": lambda blobs, _: blobs.has(DIGEST),
    "delete": lambda blobs, _: blobs.delete(DIGEST),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with s3.running(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(b"content")
    return path


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def test_a_blob_is_an_object_below_the_prefix(server: Server, tmp_path: Path) -> None:
    digest = put(BucketBlobs(server.url), tmp_path, b"content")
    assert (server.folder / digest).read_bytes() == b"content"


def test_two_buckets_of_one_prefix_are_one(server: Server, tmp_path: Path) -> None:
    digest = put(BucketBlobs(server.url), tmp_path, b"by one")
    assert read(BucketBlobs(server.url), digest) == b"by one"


def test_the_url_counts_for_more_than_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    assert put(BucketBlobs(server.url), tmp_path, b"content") == DIGEST


def test_the_environment_says_what_the_url_does_not(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_REGION", "nowhere-1")
    assert put(BucketBlobs(f"s3://{s3.BUCKET}/kept"), tmp_path, b"content") == DIGEST


@every_call
def test_a_server_that_is_down_is_unavailable(path: Path, call: Call) -> None:
    with reserved_port() as port, within(20), pytest.raises(StoreUnavailable, match="not available"):
        call(BucketBlobs(f"s3://b?endpoint=http://127.0.0.1:{port}"), path)


@every_call
def test_a_server_that_hangs_is_unavailable_in_bounded_time(server: Server, path: Path, call: Call) -> None:
    blobs = BucketBlobs(server.url)
    blobs.put(DIGEST, path)
    with server.hanging(), within(10), pytest.raises(StoreUnavailable):
        call(BucketBlobs(server.url, wait_seconds=0.3), path)
    blobs.put(DIGEST, path)
    try:
        found = read(blobs, DIGEST)
    except BlobMissing:  # a delete that the server had taken before it hung is done now, once
        blobs.put(DIGEST, path)
        found = read(blobs, DIGEST)
    assert found == b"content"


@every_call
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "SignatureDoesNotMatch", StoreUnavailable),
        (403, "AccessDenied", StoreUnavailable),
        (404, "NoSuchBucket", StoreUnavailable),
        (404, "", StoreUnavailable),  # of something else that stands there
        (500, "InternalError", StoreUnavailable),
        (507, "XMinioStorageFull", StoreFull),
        (403, "QuotaExceeded", StoreFull),
    ],
)
def test_what_a_server_refuses_is_told_by_its_kind_and_never_as_missing(
    path: Path, call: Call, status: int, code: str, kind: type[Exception]
) -> None:
    told = f"<Error><Code>{code}</Code><AWSAccessKeyId>{s3.KEYS['AWS_ACCESS_KEY_ID']}</AWSAccessKeyId></Error>".encode()

    def refuse(request: BaseHTTPRequestHandler) -> None:
        answer(request, status, b"" if request.command == "HEAD" else told, Connection="close")

    with answering(refuse) as (url, _), within(20), pytest.raises((kind, StoreUnavailable)) as caught:
        call(BucketBlobs(url), path)
    if call is not CALLS["has"]:  # HEAD's answers have no body
        assert caught.type is kind


@every_call
def test_a_server_that_is_busy_is_asked_again_and_not_for_ever(path: Path, call: Call) -> None:
    with answering(lambda request: answer(request, 503)) as (url, came):
        with pytest.raises(StoreUnavailable):
            call(BucketBlobs(url), path)
        assert 1 < len(came) <= 5


@every_call
def test_no_key_is_told_or_logged(path: Path, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    """Servers repeat the key's id, what was signed and the signature in their answers."""

    def refuse(request: BaseHTTPRequestHandler) -> None:
        authorization = request.headers["Authorization"]
        assert s3.KEYS["AWS_ACCESS_KEY_ID"] in authorization
        answer(request, 403, f"<Error><Code>Denied</Code><Told>{authorization}</Told></Error>".encode())

    caplog.set_level(logging.DEBUG)
    with answering(refuse) as (url, _), pytest.raises(StoreUnavailable) as caught:
        call(BucketBlobs(url), path)
    logging.getLogger("ragpod").exception("as whoever catches it may", exc_info=caught.value)
    assert "PermissionDeniedError 403" in caplog.text
    for secret in (*s3.KEYS.values(), "Signature"):
        assert secret not in caplog.text
        assert secret not in repr(caught.value)


def test_without_keys_a_bucket_is_unavailable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in s3.KEYS:
        monkeypatch.delenv(name)
    with reserved_port() as port:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{port}")  # of the machine's role
        with within(30), pytest.raises(StoreUnavailable):
            BucketBlobs(f"s3://b?endpoint=http://127.0.0.1:{port}").put(DIGEST, path)


def sending(whole: bytes, first: int) -> Answer:
    """Breaks off after so many bytes, and has the rest for who comes again."""

    def send(request: BaseHTTPRequestHandler) -> None:
        asked = request.headers["Range"]
        start = int(asked.partition("=")[2].partition("-")[0]) if asked else 0
        headers = {"ETag": '"1"', "Last_Modified": LAST_MODIFIED, "Content_Length": str(len(whole) - start)}
        if asked:
            headers["Content_Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        request.close_connection = True
        answer(request, 206 if asked else 200, whole[start:] if asked else whole[:first], **headers)

    return send


def test_an_answer_that_breaks_off_is_asked_for_again_from_there(tmp_path: Path) -> None:
    whole = content(3 * MIB)
    with answering(sending(whole, 2 * MIB - 1)) as (url, came):
        assert read(BucketBlobs(url), DIGEST) == whole
    assert len(came) == 2


def test_an_answer_that_breaks_off_for_good_is_unavailable_and_no_short_blob() -> None:
    def send(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        if request.headers["Range"]:
            return answer(request, 503)
        return answer(request, 200, bytes(MIB), ETag='"1"', Last_Modified=LAST_MODIFIED, Content_Length=str(2 * MIB))

    with answering(send) as (url, _), pytest.raises(StoreUnavailable):
        read(BucketBlobs(url, wait_seconds=1), DIGEST)


def test_an_answer_that_stops_is_unavailable_in_bounded_time(server: Server, tmp_path: Path) -> None:
    digest = put(BucketBlobs(server.url), tmp_path, content(30 * MIB))
    with BucketBlobs(server.url, wait_seconds=1).open(digest) as stream:
        stream.read(10)
        with server.hanging(), within(20), pytest.raises(StoreUnavailable):
            stream.read()


def test_who_reads_slowly_is_waited_for(server: Server, tmp_path: Path) -> None:
    written = content(30 * MIB)
    digest = put(BucketBlobs(server.url), tmp_path, written)
    with BucketBlobs(server.url, wait_seconds=1).open(digest) as stream:
        start = stream.read(10)
        time.sleep(2.5)
        assert start + stream.read() == written


def test_an_upload_in_parts_that_fails_leaves_no_parts(tmp_path: Path) -> None:
    begun = b"<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>"

    def refuse_parts(request: BaseHTTPRequestHandler) -> None:
        if request.path.endswith("uploads="):
            answer(request, 200, begun)
        else:
            answer(request, 204 if request.command == "DELETE" else 403)

    with answering(refuse_parts) as (url, came):
        with pytest.raises(StoreUnavailable):
            put(BucketBlobs(url), tmp_path, content(2 * PART + 1))
        assert f"DELETE /{s3.BUCKET}/{digest_of(content(2 * PART + 1))}?uploadId=one" in came


@pytest.mark.parametrize("mib", [40, pytest.param(200, marks=pytest.mark.heavy)])
def test_memory_does_not_grow_with_the_file(server: Server, tmp_path: Path, mib: int) -> None:
    command = [sys.executable, "-m", "tests.retrieval.blobs.memory_child", server.url, str(tmp_path), str(mib)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown = json.loads(done.stdout)
    assert set(grown) == {"staged", "put", "open"}
    assert max(grown.values()) < 32, grown


def test_a_put_that_was_killed_leaves_no_half_object(server: Server, tmp_path: Path) -> None:
    """What it leaves of an upload in parts is no object; a rule of the bucket removes it."""
    for n in range(4):
        acknowledged = kill_while_putting(server.url, tmp_path / "staging", n / 10)
        there = {path.name: path for path in server.folder.iterdir() if len(path.name) == 64}
        assert set(acknowledged) <= set(there)
        assert all(digest_of(path.read_bytes()) == name for name, path in there.items())
        for path in there.values():
            path.unlink()
