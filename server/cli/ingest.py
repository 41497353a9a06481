"""`ragpod ingest`: files and folders into a store, one outcome a file."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from retrieval.characters import one_line, same
from server.cli.base.client import Client, Json, Refused
from server.cli.base.connection import Where, connected
from server.cli.base.terminal import CommandError, Progress, json_line, note, say

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
    warnings: Sequence[str] = ()
    passages: int = 0


class Scanned:
    """Passes on how far the server is with recognising the pages of scans, to whoever shows progress by then."""

    def __init__(self) -> None:
        self.shown_by: Progress | None = None

    def hear(self, name: str, attached: Json) -> None:
        told = attached["ragpod"].get("ocr")
        if self.shown_by:
            self.shown_by.recognised(name, (told["pages_done"], told["pages"]) if told else None)


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


async def tell(
    title: str,
    works: Sequence[Coroutine[Any, Any, Ingested]],
    *,
    as_json: bool = False,
    only_failures: bool = False,
    failed: set[str] | None = None,
    scanned: Scanned | None = None,
) -> int:
    """Of all of them at once; the rest as of `put`. scanned: what they hear of scans."""
    began, counts = time.monotonic(), Counter[Outcome]()
    with Progress(title, len(works), silent=as_json) as progress:
        if scanned:
            scanned.shown_by = progress
        tasks = [asyncio.create_task(work) for work in works]
        try:
            for finished in asyncio.as_completed(tasks):
                done = await finished
                counts[done.outcome] += 1
                if done.outcome == "failed" and failed is not None:
                    failed.add(done.name)
                if done.outcome == "failed" or not only_failures:
                    progress.say(json_line(asdict(done)) if as_json else line(done))
                progress.advance(done.passages)
        finally:
            for task in tasks:
                task.cancel()
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in get_args(Outcome))
    (note if as_json else say)(f"{title}: {summary}; {time.monotonic() - began:.1f} s")
    return 1 if counts["failed"] else 0


def line(done: Ingested) -> str:
    """Its name stands here, so the message leaves it out."""
    rest = f": {one_line(done.message)}" if done.message else f"  {done.seconds:.1f} s"
    warnings = "".join(f"\n           {one_line(warning)}" for warning in done.warnings)
    return f"{done.outcome:<9}  {one_line(done.name)}{rest}{warnings}"


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


async def outcome_of(
    name: str, work: Callable[[], Awaitable[tuple[Outcome, Json]]], permits: asyncio.Semaphore
) -> Ingested:
    """As ingest tells it, of whatever ends with a store file."""
    async with permits:
        began = time.monotonic()
        passages = 0
        try:
            outcome, attached = await work()
            passages = attached["ragpod"]["chunks"] if outcome == "added" else 0
            message = _reason(attached) if outcome == "failed" else ""
            warnings = _warnings(attached)
        except OSError as error:
            outcome, message, warnings = "failed", error.strerror or type(error).__name__, []
        except Refused as refusal:
            outcome, message, warnings = "failed", str(refusal), []
        return Ingested(name, outcome, round(time.monotonic() - began, 3), message, warnings, passages)


async def _ingest(client: Client, store_id: str, source: Source, scanned: Scanned) -> tuple[Outcome, Json]:
    file_id = (await client.upload(source.name, await asyncio.to_thread(source.path.read_bytes)))["id"]
    known = await client.attached(store_id, file_id)
    if known and known["status"] == "completed":
        return "unchanged", known
    attached = await client.attach(store_id, file_id, lambda heard: scanned.hear(source.name, heard))
    return ("added" if attached["status"] == "completed" else "failed"), attached


def _reason(attached: Json) -> str:
    return str((attached.get("last_error") or {}).get("message") or attached["status"])


def _warnings(attached: Json) -> list[str]:
    told = attached.get("ragpod", {}).get("warnings") or {"count": 0, "messages": []}
    more = told["count"] - len(told["messages"])
    return [*told["messages"], *([f"and {more} more such lines"] if more else [])]
