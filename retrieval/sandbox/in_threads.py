"""Files parsed in the server's own process, which a file can then hold up or end: for trusted files, and for tests."""

import asyncio
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from itertools import islice

from retrieval.parsing import Limits, ParseError, parse
from retrieval.parsing.base.recognition import Unread, beyond
from retrieval.sandbox.recognition import Recognition, Scan, Seats, Unwatched
from retrieval.sandbox.tesseract import Ocr, Tesseract, installed
from retrieval.threads import Threads
from retrieval.types import ParsedDocument

_USUAL = Limits()
_UNWATCHED = Unwatched()


class InThreads:
    """A `Parser`. Tesseract is a process all the same. ocr: None: there is none."""

    def __init__(self, workers: int = 4, ocr: Ocr | None = None, limits: Limits = _USUAL) -> None:
        self.missing: tuple[str, ...] = ("files are parsed in the server's own process",)
        self._limits = limits
        self._tesseract = Tesseract(ocr) if ocr and installed() else None
        self._seats = Seats(ocr.files if ocr else 0)
        self._threads = Threads(workers, "parsing")

    async def parse(
        self, content: bytes, filename: str, media_type: str = "", scan: Scan = _UNWATCHED
    ) -> list[ParsedDocument]:
        """Raises ParseError, Crowded, OSError."""
        if self._tesseract is None:
            return await self._threads.run(parse, content, filename, media_type, self._limits)
        recognition = Recognition(self._tesseract, self._seats, scan)
        asked = _Asked(recognition)
        try:
            documents = await self._threads.run(parse, content, filename, media_type, self._limits, asked)
        except ParseError:
            if recognition.trouble is not None:
                raise recognition.trouble from None
            raise
        finally:
            asked.stop()
            await recognition.end()
        if recognition.trouble is not None:
            raise recognition.trouble
        return documents

    @property
    def crowded(self) -> bool:
        return self._tesseract is not None and not self._seats.free

    async def aclose(self) -> None:
        """What runs is waited for."""
        await self._threads.aclose()


class _Asked:
    """A `Recognise` for a parser in a thread; made on the event loop that recognises."""

    def __init__(self, recognition: Recognition) -> None:
        self._recognition = recognition
        self._loop = asyncio.get_running_loop()
        self._most = self._left = recognition.allowed["pages"]
        self._waiting: Future[str | Unread] | None = None
        self._stopped = False

    def __call__(self, count: int, pictures: Iterable[bytes]) -> Iterator[str | Unread]:
        asked = min(count, self._left)
        self._left -= asked
        if asked:
            asyncio.run_coroutine_threadsafe(self._expect(asked), self._loop).result()
        for picture in islice(pictures, asked):
            yield self._words(picture) if picture else Unread("a page could not be drawn")
        for _ in range(count - asked):
            yield beyond(self._most)

    def stop(self) -> None:
        """Nobody waits for the words any more."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()

    def _words(self, picture: bytes) -> str | Unread:
        """Raises CancelledError (of futures) where it is stopped."""
        self._waiting = asyncio.run_coroutine_threadsafe(self._recognition.words(picture), self._loop)
        if self._stopped:
            self._waiting.cancel()
        return self._waiting.result()

    async def _expect(self, pages: int) -> None:
        self._recognition.expect(pages)
