"""`ragpod ingest`: files and folders into a store, one outcome a file."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from server.cli.client import Client, Refused
from server.cli.connection import Where, connected
from server.cli.terminal import CommandError, Progress, json_line, note, say

AT_ONCE = 8
Outcome = Literal["added", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class Source:
    """name: what the store calls the file; putting other bytes under the same name replaces them."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Ingested:
    name: str
    outcome: Outcome
    seconds: float
    message: str = ""


async def run(where: Where, store: str | None, paths: Sequence[Path], *, as_json: bool) -> int:
    sources = list(walk(paths))
    if not sources:
        raise CommandError("no files found")
    name, count = Counter(source.name for source in sources).most_common(1)[0]
    if count > 1:
        raise CommandError(f"{count} of the files would be called {name!r}, and one would replace the other")
    async with connected(where) as client:
        return await put(client, store or client.default_store, sources, as_json=as_json)


async def put(
    client: Client, store: str, sources: Sequence[Source], *, as_json: bool = False, only_failures: bool = False
) -> int:
    """0, or 1 where a file failed. Prints each file's outcome and a summary. Raises Unreachable: the server is gone."""
    began, counts = time.monotonic(), Counter[Outcome]()
    store_id = await client.ensure_store(store)
    permits = asyncio.Semaphore(AT_ONCE)
    with Progress(store, len(sources), silent=as_json) as progress:
        tasks = [asyncio.create_task(ingest(client, store_id, source, permits)) for source in sources]
        try:
            for finished in asyncio.as_completed(tasks):
                done = await finished
                counts[done.outcome] += 1
                if done.outcome == "failed" or not only_failures:
                    progress.say(json_line(asdict(done)) if as_json else line(done))
                progress.advance()
        finally:
            for task in tasks:
                task.cancel()
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in get_args(Outcome))
    (note if as_json else say)(f"{store}: {summary}; {time.monotonic() - began:.1f} s")
    return 1 if counts["failed"] else 0


def line(done: Ingested) -> str:
    rest = f": {done.message}" if done.message else f"  {done.seconds:.1f} s"
    return f"{done.outcome:<9}  {done.name}{rest}"


def walk(paths: Iterable[Path]) -> Iterator[Source]:
    """Named files, and in folders every file that is not hidden. Raises CommandError for what is not there."""
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                below = file.relative_to(path)
                if file.is_file() and not any(part.startswith(".") for part in below.parts):
                    yield Source(file, (Path(path.resolve().name) / below).as_posix())
        elif path.is_file():
            yield Source(path, path.name)
        else:
            raise CommandError(f"no such file or folder: {path}")


async def ingest(client: Client, store_id: str, source: Source, permits: asyncio.Semaphore) -> Ingested:
    """A file that cannot be read, or that the server refuses, is an outcome; a server that is gone is raised."""
    async with permits:
        began = time.monotonic()
        try:
            outcome, message = await _ingest(client, store_id, source)
        except (OSError, Refused) as error:
            outcome, message = "failed", str(error)
        return Ingested(source.name, outcome, round(time.monotonic() - began, 3), message)


async def _ingest(client: Client, store_id: str, source: Source) -> tuple[Outcome, str]:
    file_id = (await client.upload(source.name, await asyncio.to_thread(source.path.read_bytes)))["id"]
    known = await client.attached(store_id, file_id)
    if known and known["status"] == "completed":
        return "unchanged", ""
    attached = await client.attach(store_id, file_id)
    if attached["status"] == "completed":
        return "added", ""
    error = attached.get("last_error") or {}
    return "failed", error.get("message") or attached["status"]
