"""What others keep in a bucket, over the real protocol."""

from pathlib import Path

import pytest

from retrieval.blobs.errors import BlobMissing, BlobTooLarge
from retrieval.blobs.objects import BucketObjects
from retrieval.database.errors import StoreUnavailable
from tests.retrieval.blobs import s3
from tests.retrieval.blobs.s3 import answer, answering


def test_objects_are_listed_with_what_tells_a_change_and_read(tmp_path: Path) -> None:
    with s3.running(tmp_path) as server:
        (server.folder / "b c").mkdir()
        (server.folder / "b c/가.md").write_text("text")
        objects = BucketObjects(server.url)
        found = {each.key: each for each in objects.listed()}
        assert set(found) == {"another", "b c/가.md"}
        assert found["b c/가.md"].size == 4
        content = objects.read("b c/가.md", 4)
        assert (content.data, content.etag) == (b"text", found["b c/가.md"].etag)
        (server.folder / "b c/가.md").write_text("Text")
        assert {each.key: each.etag for each in objects.listed()}["b c/가.md"] != content.etag
        with pytest.raises(BlobTooLarge):
            objects.read("b c/가.md", 3)
        with pytest.raises(BlobMissing):
            objects.read("never", 3)


def test_a_server_that_gives_no_tags_tells_by_date_and_size() -> None:
    entry = "<Contents><Key>a</Key><LastModified>2026-11-28T01:57:10.000Z</LastModified><Size>7</Size></Contents>"
    body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entry}</ListBucketResult>".encode()
    with answering(lambda request: answer(request, 200, body, Content_Type="application/xml")) as (url, _):
        assert [each.etag for each in BucketObjects(url).listed()] == ["7-2026-11-28T01:57:10+00:00"]


@pytest.mark.parametrize("status", [403, 404])
def test_a_bucket_that_refuses_says_why_and_repeats_no_answer(status: int) -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>of AKIAOFNOBODY</Message></Error>"
    with answering(lambda request: answer(request, status, body)) as (url, _):
        with pytest.raises(StoreUnavailable, match="AccessDenied") as told:
            list(BucketObjects(url).listed())
        assert "AKIAOFNOBODY" not in str(told.value)
