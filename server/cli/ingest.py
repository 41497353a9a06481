"""`ragpod ingest`: files and folders into a store, one outcome a file."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.characters import same
from server.cli.base.client import Client, Json
from server.cli.base.connection import Where, connected
from server.cli.base.outcomes import AT_ONCE, Ingested, Outcome, Scanned, outcome_of, tell
from server.cli.base.terminal import CommandError


@dataclass(frozen=True, slots=True)
class Source:
    """name: what the store calls the file; putting other bytes under the same name replaces them."""

    path: Path
    name: str


async def run(where: Where, store: str | None, paths: Sequence[Path], *, as_json: bool) -> int:
    if not (sources := checked(walk(paths))):
        raise CommandError("no files found")
    async with connected(where) as client:
        return await put(client, store or client.default_store, sources, as_json=as_json)


def checked(sources: Iterable[Source]) -> list[Source]:
    """Raises CommandError where two would have one name."""
    found = list(sources)
    if found:
        name, count = Counter(same(source.name) for source in found).most_common(1)[0]
        if count > 1:
            raise CommandError(f"{count} of the files would be called {name!r}, and one would replace the other")
    return found


async def put(
    client: Client,
    store: str,
    sources: Sequence[Source],
    *,
    as_json: bool = False,
    only_failures: bool = False,
    failed: set[str] | None = None,
) -> int:
    """0, or 1 where a file failed. Prints each file's outcome and a summary. failed: their names are added to it.

    Raises Unreachable: the server is gone.
    """
    store_id = await client.ensure_store(store)
    permits = asyncio.Semaphore(AT_ONCE)
    scanned = Scanned()
    works = [ingest(client, store_id, source, permits, scanned) for source in sources]
    return await tell(store, works, as_json=as_json, only_failures=only_failures, failed=failed, scanned=scanned)


def walk(paths: Iterable[Path]) -> Iterator[Source]:
    """Named files, and in folders every file that is not hidden. Raises CommandError for what is not there."""
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                below = file.relative_to(path)
                if file.is_file() and not any(part.startswith(".") for part in below.parts):
                    yield Source(file, f"{named(path)}/{below.as_posix()}")
        elif path.is_file():
            yield Source(path, path.name)
        elif path.parts[0] in ("http:", "https:"):
            raise CommandError("web pages are named in a file, one a line: --urls FILE")
        else:
            raise CommandError(f"no such file or folder: {path}")


def named(folder: Path) -> str:
    """What its files' names begin with."""
    return folder.resolve().name


async def ingest(
    client: Client, store_id: str, source: Source, permits: asyncio.Semaphore, scanned: Scanned
) -> Ingested:
    """A file that cannot be read, or that the server refuses, is an outcome; a server that is gone is raised."""
    return await outcome_of(source.name, lambda: _ingest(client, store_id, source, scanned), permits)


async def _ingest(client: Client, store_id: str, source: Source, scanned: Scanned) -> tuple[Outcome, Json]:
    file_id = (await client.upload(source.name, await asyncio.to_thread(source.path.read_bytes)))["id"]
    known = await client.attached(store_id, file_id)
    if known and known["status"] == "completed":
        return "unchanged", known
    attached = await client.attach(store_id, file_id, told=lambda heard: scanned.hear(source.name, heard))
    return ("added" if attached["status"] == "completed" else "failed"), attached
