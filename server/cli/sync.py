"""`ragpod ingest --sync` and `--watch`: a store that follows folders, buckets and lists of URLs, also where documents
are removed from them.

Nothing is removed for want of a list: a folder that cannot be read, or in which nothing is left, removes nothing.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from retrieval.characters import same
from server.cli.base.client import Client, Unreachable
from server.cli.base.connection import Where, connected, load_settings
from server.cli.base.outcomes import Removals
from server.cli.base.terminal import CommandError, note
from server.cli.ingest import checked, named, put, walk
from server.cli.sources import following as remote_source
from server.cli.sources.base import Source
from server.cli.sources.bucket import Bucket
from server.cli.sources.fetching import Limits
from server.cli.sources.urls import UrlList
from server.outgoing.addresses import Allowed
from server.settings.sections import SourceSettings

State = tuple[int, int]  # of a file: when it was changed (ns), bytes
_DEBOUNCE_MILLISECONDS = 1600
_BEGUN_MILLISECONDS = 1000


@dataclass(slots=True)
class Followed:
    """states: of the files that the store has, by name, so that what is unchanged is not sent again."""

    folders: Sequence[Path]
    removes: bool
    states: dict[str, State] = field(default_factory=dict)

    async def follow(self, client: Client, store: str, *, as_json: bool) -> int:
        """Once: what is new or changed is ingested, what is gone removed. The exit code."""
        unread = unreadable(self.folders)
        sources = checked(walk(self.folders))
        states = {source.name: state for source in sources if (state := _state(source.path)) is not None}
        news = [source for source in sources if self.states.get(source.name) != states.get(source.name)]
        failed: set[str] = set()
        code = await put(client, store, news, as_json=as_json, failed=failed) if news else 0
        self.states = {name: state for name, state in states.items() if name not in failed}
        if not self.removes:
            return code
        if unread:
            note(f"nothing is removed: {unread}")
            return 1
        present = {same(source.name) for source in sources}
        return max(code, await self._remove(client, store, present, as_json=as_json))

    async def _remove(self, client: Client, store: str, present: Set[str], *, as_json: bool) -> int:
        store_id, code = await client.store_id(store), 0
        held, removals = await client.files(store_id), Removals(store, as_json=as_json)
        for folder in self.folders:
            prefix = same(f"{named(folder)}/")
            ours = {file_id: name for file_id, name in held.items() if same(name).startswith(prefix)}
            gone = {file_id: name for file_id, name in ours.items() if same(name) not in present}
            if ours and len(gone) == len(ours):
                note(f"nothing is removed: {folder} lists no file, and the store has {len(ours)} of it")
                code = 1
                continue
            for file_id, name in gone.items():
                await client.remove(store_id, file_id)
                removals.tell(name)
        removals.end()
        return code


class Follower(Protocol):
    async def follow(self, client: Client, store: str, *, as_json: bool) -> int:
        """Once; the exit code. Raises CommandError where there is no list."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What is followed beside folders. buckets: URLs. lists: files of URLs. allow_hosts: beside those of the settings.

    every: seconds between two looks of `--watch`; None: the settings'.
    """

    buckets: Sequence[str] = ()
    lists: Sequence[Path] = ()
    allow_hosts: Sequence[str] = ()
    every: float | None = None

    def sources(self, settings: SourceSettings) -> Iterator[Source]:
        """Raises CommandError for what is no bucket, no list or no host."""
        for url in self.buckets:
            yield Bucket(url, max_bytes=settings.bytes)
        try:
            allowed = Allowed([*settings.allow_hosts, *self.allow_hosts])
        except ValueError as error:
            raise CommandError(f"--allow-host: {error}") from None
        limits = Limits(settings.bytes, settings.seconds)
        for path in self.lists:
            yield UrlList(path, allowed=allowed, limits=limits, delay=settings.delay_seconds)


async def run(
    where: Where,
    store: str | None,
    folders: Sequence[Path],
    *,
    sync: bool,
    watch: bool,
    as_json: bool,
    elsewhere: Elsewhere = Elsewhere(),
) -> int:
    """folders: files too, where they are put once. Raises CommandError for what is no folder."""
    for folder in folders:
        if (sync or watch) and not folder.is_dir():
            raise CommandError(f"only folders are followed, and this is none: {folder}")
    settings = load_settings(data_dir=where.data, host="127.0.0.1", port=where.port).sources
    remote = [remote_source.Followed(each, removes=sync) for each in elsewhere.sources(settings)]
    local = [Followed(folders, removes=sync)] if folders else []
    followers: list[Follower] = [*local, *remote]
    async with connected(where) as client:
        name, code = store or client.default_store, 0
        for each in followers:
            code = max(code, await _once(each, client, name, as_json=as_json, alone=len(followers) == 1))
        if watch:
            note("watching; Ctrl-C ends it")
            one_at_a_time = asyncio.Lock()
            seconds = elsewhere.every or settings.every_seconds
            times = [changes(folders) if each in local else regularly(seconds) for each in followers]
            watches = [
                _watch(each, when, client, name, one_at_a_time, as_json=as_json)
                for each, when in zip(followers, times, strict=True)
            ]
            await _all_of(watches)
        return code


async def _all_of(works: Sequence[Coroutine[None, None, None]]) -> None:
    """Raises what the first one raises that fails."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def _once(follower: Follower, client: Client, store: str, *, as_json: bool, alone: bool) -> int:
    """One source without a list holds up no other. Raises Unreachable."""
    try:
        return await follower.follow(client, store, as_json=as_json)
    except CommandError as error:
        if alone or isinstance(error, Unreachable):
            raise
        note(str(error))
        return 1


async def _watch(
    follower: Follower, times: AsyncIterator[None], client: Client, store: str, turn: asyncio.Lock, *, as_json: bool
) -> None:
    """A server that is away, or a source, for a while: the next time gives it everything."""
    async for _ in times:
        async with turn:
            try:
                await follower.follow(client, store, as_json=as_json)
            except CommandError as error:
                note(f"{error}; the next change tries again")


async def regularly(seconds: float) -> AsyncIterator[None]:
    while True:
        await asyncio.sleep(seconds)
        yield


async def changes(folders: Sequence[Path]) -> AsyncIterator[None]:
    """Once when the watch has begun, as nobody saw what happened before; then whenever something below them has
    changed, and a moment has passed without more.
    """
    from watchfiles import awatch

    begun = False
    watch = awatch(
        *folders,
        debounce=_DEBOUNCE_MILLISECONDS,
        rust_timeout=_BEGUN_MILLISECONDS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
    async for changed in watch:
        if changed or not begun:
            yield
        begun = True


def unreadable(folders: Sequence[Path]) -> str:
    """Why a folder's list is not whole; "" where it is."""
    problems: list[OSError] = []
    for folder in folders:
        for _ in os.walk(folder, onerror=problems.append, followlinks=False):
            pass
    return "; ".join(f"{error.filename}: {error.strerror}" for error in problems)


def _state(path: Path) -> State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
