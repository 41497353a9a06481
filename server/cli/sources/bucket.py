"""The objects below `s3://bucket/prefix` as a source: by their tags, so that what is unchanged is not read."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from urllib.parse import quote

from retrieval.blobs.errors import BlobMissing, BlobTooLarge
from retrieval.blobs.objects import BucketObjects, StoredObject
from retrieval.characters import same
from retrieval.database.errors import StoreUnavailable
from server.cli.base.terminal import CommandError, ItemFailed
from server.cli.sources.base import Fetched, Gone, Item, Known, Unchanged
from server.cli.sources.naming import iso, media_type, printable
from server.outgoing.body import BodyTooLarge, BodyUnreadable, gunzipped


class Bucket:
    """A Source. Hidden objects (a part of the key begins with a dot) and empty ones are left out, as in folders.

    max_bytes: of an object; a larger one fails and is not read. Raises CommandError for what is no bucket's URL.
    """

    def __init__(self, url: str, *, max_bytes: int) -> None:
        try:
            self._objects = BucketObjects(url)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self._max_bytes = max_bytes
        address = self._objects.address
        self._name = f"{address.bucket}/{address.prefix}".rstrip("/")
        self.shown = f"s3://{self._name}"
        # Two servers may have buckets of one name.
        self.label = f"{self.shown} at {address.endpoint}" if address.endpoint else self.shown

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["_Listed"]:
        yield await asyncio.to_thread(self._list)

    def _list(self) -> "_Listed":
        found, problem = list[StoredObject](), ""
        try:
            found.extend(each for each in self._objects.listed() if each.size and not _hidden(each.key))
        except (StoreUnavailable, BlobMissing) as error:
            problem = str(error)
        alike = Counter(same(each.key) for each in found)
        items = {each.key: self._item(each, alike[same(each.key)] > 1) for each in found}
        return _Listed(self._objects, self._max_bytes, items, problem)

    def _item(self, each: StoredObject, ambiguous: bool) -> Item:
        """ambiguous: another key looks the same (가 in one character and in two), and would replace it."""
        name = f"{self._name}/{each.key}"
        shown = quote(name, safe="/ ") if ambiguous else printable(name)
        return Item(f"s3://{quote(name)}", shown, each.etag, each.size)


def _hidden(key: str) -> bool:
    return any(part.startswith(".") for part in key.split("/"))


class _Listed:
    """A Reading."""

    def __init__(self, objects: BucketObjects, max_bytes: int, items: Mapping[str, Item], problem: str) -> None:
        self._objects, self._max_bytes = objects, max_bytes
        self._keys = {item.url: key for key, item in items.items()}
        self.items, self.problem = list(items.values()), problem

    def turn(self, item: Item) -> AbstractAsyncContextManager[None]:
        """Nothing: a bucket may be asked for as many as there are places."""
        return nullcontext()

    async def fetch(self, item: Item, known: Known | None) -> Fetched | Unchanged | Gone:
        if item.bytes > self._max_bytes:
            raise ItemFailed(f"it has {item.bytes:,} bytes, more than {self._max_bytes:,}: not read (sources.bytes)")
        return await asyncio.to_thread(self._read, item)

    def _read(self, item: Item) -> Fetched | Gone:
        try:
            found = self._objects.read(self._keys[item.url], self._max_bytes)
            data = gunzipped(found.data, self._max_bytes) if found.encoding in ("gzip", "x-gzip") else found.data
        except BlobMissing as error:
            return Gone(str(error))
        except (BlobTooLarge, StoreUnavailable, BodyTooLarge, BodyUnreadable) as error:
            raise ItemFailed(str(error)) from None
        return Fetched(item.name, data, media_type(found.media_type), found.etag, iso(found.modified))
