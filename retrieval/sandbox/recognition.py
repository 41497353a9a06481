"""The OCR of one file while it is parsed: pictures from its child to tesseract, their words back in turn."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from retrieval.parsing.base.recognition import Unread
from retrieval.sandbox.frames import PICTURE_SECONDS, Garbage, frame
from retrieval.sandbox.pages import checked
from retrieval.sandbox.tesseract import Tesseract

Reply = Callable[[bytes], Awaitable[None]]


class Crowded(Exception):
    """As many files are recognised already as may be at once: this one is to come back later."""


class Scan(Protocol):
    """Who follows the OCR of a file, and keeps what it has cost so far.

    picture: a digest of all that its words depend on.
    """

    def begin(self) -> None:
        """The file is read, perhaps anew."""
        ...

    def expect(self, pages: int) -> None:
        """So many more are to be recognised."""
        ...

    def done(self) -> None:
        """One of them is."""
        ...

    async def kept(self, picture: str) -> str | None:
        """Its words, where it was recognised before."""
        ...

    async def keep(self, picture: str, words: str) -> None: ...


class Unwatched:
    """A scan that nobody follows."""

    def begin(self) -> None:
        pass

    def expect(self, pages: int) -> None:
        pass

    def done(self) -> None:
        pass

    async def kept(self, picture: str) -> str | None:
        return None

    async def keep(self, picture: str, words: str) -> None:
        pass


class Seats:
    """Of files that are recognised at once, so that long scans do not hold up all other files."""

    def __init__(self, count: int) -> None:
        self.free = count


class Clock:
    """A child's wall time, which stands still while it may be waiting for somebody else."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout
        self._left = 0.0
        self._waits = 0

    def stop(self, extra: float) -> None:
        """extra: seconds, for what it does meanwhile."""
        due = self._timeout.when()
        if due is not None:
            self._left = due - asyncio.get_running_loop().time()
            self._timeout.reschedule(None)
        self._left += extra
        self._waits += 1

    def go_on(self) -> None:
        self._waits -= 1
        if not self._waits:
            self._timeout.reschedule(asyncio.get_running_loop().time() + max(0.0, self._left))


class Recognition:
    """Of one reading of one file. seated: called when it gets its seat.

    trouble: what kept it from recognising, but for the file's own troubles: Crowded, OSError.
    """

    def __init__(
        self, tesseract: Tesseract, seats: Seats, scan: Scan, seated: Callable[[], None] | None = None
    ) -> None:
        self._tesseract, self._seats, self._scan = tesseract, seats, scan
        self._on_seat = seated
        self._expected = self._sent = 0
        self._seated = False
        self._replies: list[asyncio.Task[None]] = []
        self.trouble: Exception | None = None
        scan.begin()

    @property
    def allowed(self) -> dict[str, int]:
        """As the child is told: pictures in all, and those that it may send before the first is answered."""
        ocr = self._tesseract.ocr
        return {"pages": ocr.pages, "ahead": ocr.workers}

    def expect(self, pages: int) -> None:
        """So many pictures more. Raises Garbage."""
        self._expected += pages
        if pages < 1 or self._expected > self._tesseract.ocr.pages:
            raise Garbage("more pictures than it may send")
        if not self._seated and self.trouble is None:
            if not self._seats.free:
                self.trouble = Crowded()
                return
            self._seats.free -= 1
            self._seated = True
            if self._on_seat:
                self._on_seat()
        if self._seated:
            self._scan.expect(pages)

    async def take(self, picture: bytes, clock: Clock, reply: Reply) -> None:
        """The reply is sent when it is there, in the order of the pictures. Raises Garbage."""
        waiting = [task for task in self._replies if not task.done()]
        self._sent += 1
        if self._sent > self._expected or len(waiting) > self._tesseract.ocr.workers:
            raise Garbage("more pictures than it has said")
        clock.stop(PICTURE_SECONDS)
        await asyncio.to_thread(checked, picture)
        before = waiting[-1] if waiting else None
        self._replies = [*waiting, asyncio.create_task(self._answer(picture, before, clock, reply))]

    async def end(self) -> None:
        """Whatever still runs is ended."""
        for task in self._replies:
            task.cancel()
        await asyncio.gather(*self._replies, return_exceptions=True)
        if self._seated:
            self._seats.free += 1
            self._seated = False

    async def _answer(self, picture: bytes, before: asyncio.Task[None] | None, clock: Clock, reply: Reply) -> None:
        try:
            words = await self.words(picture)
            if before is not None:
                await asyncio.wait([before])
        finally:  # a child that gets no answer has its time
            clock.go_on()
        if isinstance(words, Unread):
            await reply(frame(b"N", words.reason.encode()))
        else:
            await reply(frame(b"T", words.encode(errors="replace")))

    async def words(self, picture: bytes) -> str | Unread:
        """Nothing is raised: the child goes on with what it gets."""
        if self.trouble is not None:
            return Unread("")
        try:
            name = await asyncio.to_thread(_digest, await self._tesseract.languages(), picture)
            words: str | Unread | None = await self._scan.kept(name)
            if words is None:
                words = await self._tesseract.read(picture)
                if isinstance(words, str):
                    await self._scan.keep(name, words)
        except OSError as error:
            self.trouble = error
            return Unread("")
        self._scan.done()
        return words


def _digest(languages: str, picture: bytes) -> str:
    return hashlib.sha256(languages.encode() + b"\n" + picture).hexdigest()
