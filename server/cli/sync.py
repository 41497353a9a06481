"""`ragpod ingest --sync` and `--watch`: a store that follows folders, also where files are removed from them.

Nothing is removed for want of a list: a folder that cannot be read, or in which nothing is left, removes nothing.
"""

import os
from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.characters import one_line, same
from server.cli.base.client import Client
from server.cli.base.connection import Where, connected
from server.cli.base.terminal import CommandError, note, say
from server.cli.ingest import checked, named, put, walk

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
        return max(code, await self._remove(client, store, {same(source.name) for source in sources}))

    async def _remove(self, client: Client, store: str, present: Set[str]) -> int:
        store_id, code = await client.store_id(store), 0
        held = await client.files(store_id)
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
                say(f"removed    {one_line(name)}")
        return code


async def run(
    where: Where, store: str | None, folders: Sequence[Path], *, sync: bool, watch: bool, as_json: bool
) -> int:
    """Raises CommandError for what is no folder."""
    for folder in folders:
        if not folder.is_dir():
            raise CommandError(f"only folders are followed, and this is none: {folder}")
    followed = Followed(folders, removes=sync)
    async with connected(where) as client:
        code = await followed.follow(client, store or client.default_store, as_json=as_json)
        if watch:
            note("watching; Ctrl-C ends it")
            async for _ in changes(folders):
                await _again(followed, client, store or client.default_store, as_json=as_json)
        return code


async def _again(followed: Followed, client: Client, store: str, *, as_json: bool) -> None:
    """A server that is away, or a folder, for a while: the next change gives it everything."""
    try:
        await followed.follow(client, store, as_json=as_json)
    except CommandError as error:
        note(f"{error}; the next change tries again")


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
