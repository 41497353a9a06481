"""A store that follows a source whose documents are known by their addresses.

What was told of each document (its tag, its date) is kept with the file in the store itself, as attributes: it is there
exactly as long as the document, so a run that was broken off, or that begins on another machine, goes on where the
store is. Nothing is removed for want of a list, and nothing where all of a place seems to be gone at once.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from retrieval.characters import one_line, same
from server.cli.base.client import Client, Json
from server.cli.base.outcomes import AT_ONCE, Ingested, Outcome, Removals, outcome_of, tell
from server.cli.base.terminal import ItemFailed, note
from server.cli.sources.base import LONGEST, Fetched, Gone, Item, Known, Reading, Source, Unchanged

SOURCE, URL, ETAG, MODIFIED = "source", "url", "etag", "updated_at"


@dataclass(frozen=True, slots=True)
class Followed:
    source: Source
    removes: bool

    async def follow(self, client: Client, store: str, *, as_json: bool) -> int:
        """Once: what is new or changed is ingested, what is gone removed. The exit code: 1 where anything failed."""
        store_id = await client.ensure_store(store)
        async with self.source.reading() as reading:
            run = _Run(client, store_id, self.source, reading, await _held(client, store_id, self.source.label))
            code = await tell(self.source.shown, run.works(), as_json=as_json)
        if reading.problem:
            note(f"{self.source.shown}: {one_line(reading.problem)}")
            code = 1
        if not self.removes:
            return code
        if reading.problem:
            note("nothing is removed: the list is not whole")
            return 1
        return max(code, await run.remove(as_json=as_json))


@dataclass(slots=True)
class _Run:
    """held: the store's files by the address that they are from, the oldest first."""

    client: Client
    store_id: str
    source: Source
    reading: Reading
    held: Mapping[str, list[Json]]
    gone: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)

    def works(self) -> list[Coroutine[Any, Any, Ingested]]:
        permits = asyncio.Semaphore(AT_ONCE)
        return [self._work(item, permits) for item in self.reading.items]

    async def _work(self, item: Item, permits: asyncio.Semaphore) -> Ingested:
        async with AsyncExitStack() as turn:
            await turn.enter_async_context(self.reading.turn(item))
            return await outcome_of(item.url, partial(self._follow, item, turn), permits)

    async def _follow(self, item: Item, turn: AsyncExitStack) -> tuple[Outcome, Json]:
        """turn: over as soon as the source has answered, while the store works on."""
        whole = next((file for file in reversed(self._held(item)) if file["status"] == "completed"), None)
        known = _known(whole) if whole else None
        if whole and known and item.etag and item.etag == known.etag:
            return "unchanged", await self._alone(item, whole)
        if len(item.url) > LONGEST:
            raise ItemFailed(f"its address is longer than {LONGEST} characters")
        found = await self.reading.fetch(item, known)
        await turn.aclose()
        if isinstance(found, Gone):
            if not self._held(item):
                raise ItemFailed(found.reason)
            self.gone.add(item.url)
            return "gone", self._held(item)[-1]
        if isinstance(found, Unchanged):
            if whole is None:
                raise ItemFailed("it is said not to have changed, and the store has it not")
            return "unchanged", await self._alone(item, whole)
        return await self._put(item, found)

    async def _put(self, item: Item, found: Fetched) -> tuple[Outcome, Json]:
        """The old version is found until the new one is, and leaves the disk then."""
        if self.names.setdefault(same(found.name), item.url) != item.url:
            raise ItemFailed(f"it would be called {found.name!r}, as {self.names[same(found.name)]} is")
        file_id = (await self.client.upload(found.name, found.content, found.media_type))["id"]
        before = next((file for file in self._held(item) if file["id"] == file_id), None)
        attached = await self.client.attach(self.store_id, file_id, self._attributes(item, found))
        if attached["status"] != "completed":
            return "failed", attached
        await self._alone(item, attached)
        if before and before["status"] == "completed":
            return "unchanged", attached
        return ("changed" if self._held(item) else "added"), attached

    async def _alone(self, item: Item, file: Json) -> Json:
        """Older versions of the document, and those that failed, leave."""
        for other in self._held(item):
            if other["id"] != file["id"]:
                await self.client.remove(self.store_id, other["id"])
        return file

    def _attributes(self, item: Item, found: Fetched) -> Json:
        told = {ETAG: found.etag, MODIFIED: found.modified}
        kept = {k: v for k, v in told.items() if 0 < len(v) <= LONGEST and v.isascii() and v.isprintable()}
        return {SOURCE: self.source.label, URL: item.url} | kept

    def _held(self, item: Item) -> list[Json]:
        return self.held.get(item.url, [])

    async def remove(self, *, as_json: bool) -> int:
        """What is listed no more, and what is gone; 1 where something is left for caution."""
        listed = {item.url for item in self.reading.items}
        unlisted = [url for url in self.held if url not in listed]
        if not listed:
            if self.held:
                note(f"nothing is removed: {self.source.shown} lists nothing, and the store has {len(self.held)} of it")
            return 1 if self.held else 0
        kept = _all_of_a_place(self.gone, [url for url in self.held if url in listed])
        for place, count in kept.items():
            note(f"nothing of {place} is removed: all {count} documents that the store has of it are gone at once")
        removals = Removals(self.source.shown, as_json=as_json)
        for url in [*unlisted, *(url for url in sorted(self.gone) if urlsplit(url).netloc not in kept)]:
            for file in self.held[url]:
                await self.client.remove(self.store_id, file["id"])
            removals.tell(url)
        removals.end()
        return 1 if kept else 0


async def _held(client: Client, store_id: str, label: str) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = defaultdict(list)
    for file in await client.attached_all(store_id):
        if file["attributes"].get(SOURCE) == label and isinstance(url := file["attributes"].get(URL), str):
            found[url].append(file)
    return dict(found)


def _known(file: Json) -> Known:
    attributes = file["attributes"]
    return Known(str(attributes.get(ETAG, "")), str(attributes.get(MODIFIED, "")))


def _all_of_a_place(gone: Iterable[str], held: Iterable[str]) -> dict[str, int]:
    """Hosts or buckets of which the store has several documents, and every one is gone."""
    ours, lost = (Counter(urlsplit(url).netloc for url in urls) for urls in (held, gone))
    return {place: count for place, count in lost.items() if count == ours[place] > 1}
