"""Children that read files: started when the first one comes, kept warm, replaced when they are worn."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from retrieval.parsing import Limits, ParseError
from retrieval.places import TextLayer
from retrieval.sandbox.frames import Garbage, unpacked
from retrieval.sandbox.pages import checked, unpacked_layer
from retrieval.sandbox.process import Child, Confinement, Killed
from retrieval.sandbox.recognition import Crowded, Recognition, Scan, Seats, Unwatched
from retrieval.sandbox.taking import NoSuchPage
from retrieval.sandbox.tesseract import Ocr, Tesseract, installed
from retrieval.types import ParsedDocument

__all__ = ["Confinement", "Crowded", "Limits", "NoSuchPage", "Ocr", "Parser", "Pool", "Scan", "Unwatched"]

log = logging.getLogger("ragpod.ingest")

T = TypeVar("T")
_GROWTH = 256 << 20  # bytes that one may keep of the files it has read
_USUAL = Limits()
_UNWATCHED = Unwatched()


class Parser(Protocol):
    """Files to documents. `missing`: what the confinement lacks here, in words; known after the first file."""

    @property
    def missing(self) -> tuple[str, ...]: ...

    @property
    def crowded(self) -> bool:
        """Whether a file that needs OCR would have to come back later."""
        ...

    async def parse(
        self, content: bytes, filename: str, media_type: str = "", scan: Scan = _UNWATCHED
    ) -> list[ParsedDocument]:
        """scan: follows the OCR, where there is any. Raises ParseError; Crowded where the file is to come back later.
        Where it is cancelled nothing goes on.
        """
        ...

    async def aclose(self) -> None: ...


class Pool:
    """On one event loop. workers: files read at once; those that wait for OCR are not counted, and have children too.

    ocr: None: there is none.
    """

    def __init__(
        self,
        workers: int = 2,
        confinement: Confinement | None = None,
        limits: Limits = _USUAL,
        ocr: Ocr | None = None,
    ) -> None:
        self._confinement = confinement or Confinement()
        self._limits = limits
        self._tesseract = Tesseract(ocr) if ocr and installed() else None
        self._seats = Seats(ocr.files if ocr else 0)
        self._turns = asyncio.Semaphore(workers)
        self._workers = workers
        self._idle: list[Child] = []
        self._closed = False
        self.missing: tuple[str, ...] = ()
        self._told = False

    async def parse(
        self, content: bytes, filename: str, media_type: str = "", scan: Scan = _UNWATCHED
    ) -> list[ParsedDocument]:
        """Raises ParseError, Crowded; OSError where no child or no OCR can be started."""

        async def read(child: Child, leave: Callable[[], None]) -> list[bytes]:
            recognition = Recognition(self._tesseract, self._seats, scan, leave) if self._tesseract else None
            return await child.parse(content, filename, media_type, self._limits, recognition)

        parts = await self._asked(filename, read)
        return await self._checked(filename, unpacked, parts, self._limits.characters)

    async def picture(self, content: bytes, filename: str, page: int, width: int) -> bytes:
        """A PNG of one page (from 1) of a PDF, so many pixels wide. Raises ParseError, NoSuchPage, OSError."""
        png = await self._asked(filename, lambda child, _: child.picture(content, page, width))
        await self._checked(filename, checked, png)
        return png

    async def words(self, content: bytes, filename: str, page: int) -> TextLayer:
        """Raises as `picture`."""
        payload = await self._asked(filename, lambda child, _: child.words(content, page))
        return await self._checked(filename, unpacked_layer, payload)

    @property
    def crowded(self) -> bool:
        return self._tesseract is not None and not self._seats.free

    async def aclose(self) -> None:
        """What is being read ends where its caller is cancelled."""
        self._closed = True
        idle, self._idle = self._idle, []
        for child in idle:
            await child.kill()

    async def _asked(self, filename: str, ask: Callable[[Child, Callable[[], None]], Awaitable[T]]) -> T:
        """ask: given a child, and what to call when others may take its turn."""
        turn = _Turn(self._turns)
        await turn.wait()
        try:
            try:
                return await self._with_child(ask, turn)
            except Killed:
                log.warning("the process that read %r was killed from outside; it is tried once more", filename)
            return await self._with_child(ask, turn)
        except Killed:
            message = (
                "its parser was killed twice, most likely because the machine ran out of memory: divide it,"
                " or attach it again when the server has less to do"
            )
            raise ParseError("parser_failed", message) from None
        finally:
            turn.leave()

    async def _with_child(self, ask: Callable[[Child, Callable[[], None]], Awaitable[T]], turn: "_Turn") -> T:
        child = await self._child()
        try:
            return await ask(child, turn.leave)
        finally:
            await self._take_back(child)

    async def _checked(self, filename: str, check: Callable[..., T], *answer: object) -> T:
        """In a thread. Raises ParseError."""
        try:
            return await asyncio.to_thread(check, *answer)
        except Garbage as error:
            log.error("a parser's answer about %r makes no sense: %s", filename, error)
            raise ParseError("parser_failed", f"its parser answered what makes no sense ({error})") from None

    async def _child(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            await child.kill()
        child = await Child.start(self._confinement)
        if child.missing and not self._told:
            log.warning("parsers are confined less than they could be here: %s", "; ".join(child.missing))
        self.missing, self._told = child.missing, True
        return child

    async def _take_back(self, child: Child) -> None:
        worn = child.served >= self._confinement.files or child.resident - child.resident_at_first > _GROWTH
        if child.alive and not worn and not self._closed and len(self._idle) < self._workers:
            self._idle.append(child)
        else:
            await child.kill()


class _Turn:
    """One of a pool's; left once, however often it is left."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns
        self._held = False

    async def wait(self) -> None:
        await self._turns.acquire()
        self._held = True

    def leave(self) -> None:
        if self._held:
            self._held = False
            self._turns.release()
