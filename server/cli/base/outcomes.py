"""How each of many files ended, told as it ends, and a summary: what every command has that ingests."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from retrieval.characters import one_line
from server.cli.base.client import Json
from server.cli.base.terminal import ItemFailed, Progress, json_line, note, say

AT_ONCE = 8
# changed, gone: of sources that are followed; gone is what its source says of something that the store has.
Outcome = Literal["added", "changed", "unchanged", "gone", "failed"]
_ALWAYS_TOLD = ("added", "unchanged", "failed")


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


async def tell(
    title: str,
    works: Sequence[Coroutine[Any, Any, Ingested]],
    *,
    as_json: bool = False,
    only_failures: bool = False,
    failed: set[str] | None = None,
    scanned: Scanned | None = None,
) -> int:
    """0, or 1 where a file failed. Prints each file's outcome and a summary. failed: their names are added to it.
    scanned: what they hear of scans.

    Raises Unreachable: the server is gone.
    """
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
    told = [outcome for outcome in get_args(Outcome) if counts[outcome] or outcome in _ALWAYS_TOLD]
    summary = ", ".join(f"{counts[outcome]} {outcome}" for outcome in told)
    (note if as_json else say)(f"{title}: {summary}; {time.monotonic() - began:.1f} s")
    return 1 if counts["failed"] else 0


def line(done: Ingested) -> str:
    """Its name stands here, so the message leaves it out."""
    rest = f": {one_line(done.message)}" if done.message else f"  {done.seconds:.1f} s"
    warnings = "".join(f"\n           {one_line(warning)}" for warning in done.warnings)
    return f"{done.outcome:<9}  {one_line(done.name)}{rest}{warnings}"


class Removals:
    """What leaves the store, told as it does, and a summary after that of `tell`."""

    def __init__(self, title: str, *, as_json: bool) -> None:
        self._title, self._as_json, self._count = title, as_json, 0

    def tell(self, name: str) -> None:
        say(json_line({"name": name, "outcome": "removed"}) if self._as_json else f"removed    {one_line(name)}")
        self._count += 1

    def end(self) -> None:
        if self._count:
            (note if self._as_json else say)(f"{self._title}: {self._count} removed")


async def outcome_of(
    name: str, work: Callable[[], Awaitable[tuple[Outcome, Json]]], permits: asyncio.Semaphore
) -> Ingested:
    """Of whatever ends with a store file. A file that cannot be read, or that the server refuses, is an outcome; a
    server that is gone is raised.
    """
    async with permits:
        began = time.monotonic()
        passages = 0
        try:
            outcome, attached = await work()
            passages = attached["ragpod"]["chunks"] if outcome in ("added", "changed") else 0
            message = _reason(attached) if outcome == "failed" else ""
            warnings = _warnings(attached)
        except OSError as error:
            outcome, message, warnings = "failed", error.strerror or type(error).__name__, []
        except ItemFailed as refusal:
            outcome, message, warnings = "failed", str(refusal), []
        return Ingested(name, outcome, round(time.monotonic() - began, 3), message, warnings, passages)


def _reason(attached: Json) -> str:
    return str((attached.get("last_error") or {}).get("message") or attached["status"])


def _warnings(attached: Json) -> list[str]:
    told = attached.get("ragpod", {}).get("warnings") or {"count": 0, "messages": []}
    more = told["count"] - len(told["messages"])
    return [*told["messages"], *([f"and {more} more such lines"] if more else [])]
