"""A store of blobs that does something else in between, and a store that keeps its blobs in a place of one's choice."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from retrieval.blobs.base import BlobStore
from retrieval.store.store import Store
from tests.databases import empty_database


@contextmanager
def opened(kind: str, folder: Path, place: str) -> Iterator[Store]:
    with empty_database(kind, folder) as url:
        where = url.render_as_string(hide_password=False)
        with closing(Store.open(folder, url=where, blobs=place)) as store:
            yield store


class Tripping(BlobStore):
    """Another one, of which a put does something else first, or after; and one delete fails, where it is told to."""

    def __init__(self, inner: BlobStore) -> None:
        self.inner = inner
        self.before_put: Callable[[], None] = lambda: None
        self.after_put: Callable[[], None] = lambda: None
        self.before_has: Callable[[], None] = lambda: None
        self.before_delete: Callable[[], None] = lambda: None

    def put(self, digest: str, path: Path) -> None:
        self.before_put()
        self.inner.put(digest, path)
        self.after_put()

    def open(self, digest: str) -> BinaryIO:
        return self.inner.open(digest)

    def has(self, digest: str) -> bool:
        self.before_has()
        return self.inner.has(digest)

    def delete(self, digest: str) -> None:
        self.before_delete()
        self.inner.delete(digest)

    def close(self) -> None:
        self.inner.close()


def tripping(store: Store) -> Tripping:
    store.blobs._kept_in = found = Tripping(store.blobs._kept_in)
    return found


class Killed(BaseException):
    """As if the process were gone: nobody catches it."""


def killed() -> None:
    raise Killed
