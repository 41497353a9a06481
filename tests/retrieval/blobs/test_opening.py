import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.blobs.bucket import BucketBlobs
from retrieval.blobs.folder import FolderBlobs
from retrieval.blobs.opening import blobs_of
from tests.retrieval.blobs.files import put


def test_the_default_is_a_folder_of_the_data_directory(tmp_path: Path) -> None:
    blobs = blobs_of("folder", tmp_path)
    digest = put(blobs, tmp_path, b"content")
    assert (tmp_path / "blobs" / digest[:2] / digest).is_file()


def test_a_folder_is_named_by_its_url(tmp_path: Path) -> None:
    assert isinstance(blobs_of(f"file://{tmp_path}/some%20blobs", tmp_path / "data"), FolderBlobs)
    assert [path.name for path in tmp_path.iterdir()] == ["some blobs"]


@pytest.mark.parametrize(
    "url", ["s3://b", "s3://b.c/", "s3://b/p/q/?region=eu-1", "s3://b/p?endpoint=http%3A%2F%2F[::1]:9000&region=x"]
)
def test_a_bucket_is_named_by_its_url_and_is_asked_nothing_yet(tmp_path: Path, url: str) -> None:
    blobs_of(url, tmp_path).close()
    assert isinstance(blobs_of(url, tmp_path), BucketBlobs)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/abs/secret",
        "folder:secret",
        "https://key:secret@host/b",
        "file:secret",
        "file://host/secret",
        "file:///",
        "file:///a?secret",
    ],
)
def test_what_means_nothing_is_refused_with_what_is_possible(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match=r"`folder`, `file:///absolute/path` or `s3://bucket/prefix\?") as caught:
        blobs_of(url, tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3://key:secret@b",
        "s3://b?secret=secret",
        "s3://b?secret_access_key=secret",
        "s3://b/p//secret",
        "s3://b/../secret",
        "s3://b#secret",
        "s3://b?endpoint=secret:9000",
        "s3://b?endpoint=ftp://secret",
        "s3://b?endpoint=http://key:secret@host",
        "s3://b?endpoint=http://host?secret",
    ],
)
def test_a_bucket_that_means_nothing_is_refused_without_telling_what_it_said(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="AWS_SECRET_ACCESS_KEY") as caught:
        blobs_of(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_a_bucket_without_its_library_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['obstore'] = None; from pathlib import Path;"
        "from retrieval.blobs.opening import blobs_of; blobs_of('s3://b', Path())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode
    assert done.stderr.splitlines()[-1].endswith("a bucket needs `pip install 'obstore>=0.12'`")


def test_a_folder_loads_no_library_of_buckets(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from retrieval.blobs.opening import blobs_of;"
        f"blobs_of('folder', Path({str(tmp_path)!r})); print({{'obstore', 'sqlalchemy'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
