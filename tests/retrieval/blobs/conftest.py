"""`blobs` runs a test on every kind of blob store; they are a module's, so a test leaves behind what harms no other."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from retrieval.blobs.base import BlobStore
from retrieval.blobs.bucket import BucketBlobs
from retrieval.blobs.folder import FolderBlobs
from tests.retrieval.blobs import s3


@pytest.fixture(scope="module", autouse=True)
def _keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in s3.KEYS.items():
            patch.setenv(name, value)
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="module", params=("folder", "bucket"))
def blobs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobStore]:
    folder = tmp_path_factory.mktemp("blobs")
    with _opened(request.param, folder) as blobs, closing(blobs):
        yield blobs


@contextmanager
def _opened(kind: str, folder: Path) -> Iterator[BlobStore]:
    if kind == "folder":
        yield FolderBlobs(folder)
        return
    with s3.running(folder) as server:
        yield BucketBlobs(server.url)
