"""Files that need OCR: how far each is, and what is kept of it until it is done.

A page takes seconds, so what is recognised is on disk at once: who goes on after a crash begins where it ended. It
leaves the disk when its file is done or gone, at the latest with the next sweep.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from retrieval.threads import Threads

log = logging.getLogger("ragpod.ingest")

_WAIT, _LONGEST_WAIT = 2.0, 300.0  # seconds; the first for each file that waits
_SUFFIX = ".tsv"


@dataclass(frozen=True, slots=True)
class Pages:
    """Of one file, that are recognised, of all that are to be; more may become known."""

    done: int
    total: int


class Scans:
    """On one event loop. folder: may not be there yet; None keeps nothing. in_progress: which versions are."""

    def __init__(
        self, folder: Path | None, threads: Threads, in_progress: Callable[[Collection[int]], set[int]]
    ) -> None:
        self._folder, self._threads, self._in_progress = folder, threads, in_progress
        self._running: dict[int, Scan] = {}
        self._waiting: set[int] = set()
        self._kept: set[int] = set()  # versions of which there may be something on disk

    def of(self, version: int, store_id: str) -> "Scan":
        """To be ended when the file has been read."""
        folder = None if self._folder is None else self._folder / str(version)
        scan = Scan(folder, self._threads, store_id, lambda: self._ended(version, scan))
        self._running[version] = scan
        return scan

    def pages(self, version: int) -> Pages | None:
        """None where it is not being recognised here."""
        running = self._running.get(version)
        return running.pages if running and running.pages.total else None

    def pages_in(self, store_id: str) -> Pages | None:
        """Of all that are being recognised here for one vector store."""
        found = [scan.pages for scan in self._running.values() if scan.store_id == store_id and scan.pages.total]
        return Pages(sum(each.done for each in found), sum(each.total for each in found)) if found else None

    def wait(self, version: int) -> float:
        """It has to come back: after how many seconds. The more wait, the longer, so that looking costs little."""
        self._waiting.add(version)
        return min(_WAIT * (1 + len(self._waiting)), _LONGEST_WAIT)

    def waits(self, version: int) -> bool:
        """Whether it had to come back the last time."""
        return version in self._waiting

    async def clear(self, version: int) -> None:
        """Its pages are passages now."""
        self._waiting.discard(version)
        if self._folder is not None and version in self._kept:
            self._kept.discard(version)
            await self._threads.run(_removed, self._folder / str(version))

    async def sweep(self) -> None:
        """What is kept of files that are settled or gone, whoever did it, leaves the disk."""
        known = self._waiting | self._kept
        gone = known - await self._threads.run(self._sweep, known)
        self._waiting -= gone
        self._kept -= gone

    def _ended(self, version: int, scan: "Scan") -> None:
        if scan.pages.total:
            self._kept.add(version)
        if self._running.get(version) is scan:
            del self._running[version]

    def _sweep(self, known: Collection[int]) -> set[int]:
        """Of `known` those that are in progress."""
        folder = self._folder if self._folder is not None and self._folder.is_dir() else None
        kept = {int(path.name): path for path in folder.iterdir() if path.name.isdecimal()} if folder else {}
        asked = kept.keys() | known
        alive = self._in_progress(list(asked)) if asked else set()
        for version in kept.keys() - alive:
            _removed(kept[version])
        return alive


class Scan:
    """One file; as retrieval.sandbox.recognition.Scan."""

    def __init__(self, folder: Path | None, threads: Threads, store_id: str, ended: Callable[[], None]) -> None:
        self._folder, self._threads = folder, threads
        self.store_id = store_id
        self.end = ended
        self.pages = Pages(0, 0)

    def begin(self) -> None:
        self.pages = Pages(0, 0)

    def expect(self, pages: int) -> None:
        self.pages = Pages(self.pages.done, self.pages.total + pages)

    def done(self) -> None:
        self.pages = Pages(self.pages.done + 1, self.pages.total)

    async def kept(self, picture: str) -> str | None:
        if self._folder is None:
            return None
        try:
            return await self._threads.run((self._folder / f"{picture}{_SUFFIX}").read_text, "utf-8")
        except (OSError, ValueError):
            return None

    async def keep(self, picture: str, words: str) -> None:
        """As a whole or not at all; on a full disk not at all."""
        if self._folder is None:
            return
        try:
            await self._threads.run(_write, self._folder / f"{picture}{_SUFFIX}", words.encode(errors="replace"))
        except OSError as error:
            log.warning("a recognised page cannot be kept: %s", error)


def _removed(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, partial = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
