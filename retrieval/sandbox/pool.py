"""Children for the ingest: started when the first file comes, kept warm, replaced when they are worn."""

import asyncio
import logging
from typing import Protocol

from retrieval.parsing import Limits, ParseError, parse
from retrieval.sandbox.frames import Garbage, unpacked
from retrieval.sandbox.process import Child, Confinement, Killed
from retrieval.threads import Threads
from retrieval.types import ParsedDocument

__all__ = ["Confinement", "InThreads", "Limits", "Parser", "Pool"]

log = logging.getLogger("ragpod.ingest")

_GROWTH = 256 << 20  # bytes that one may keep of the files it has read
_USUAL = Limits()


class Parser(Protocol):
    """Files to documents. `missing`: what the confinement lacks here, in words; known after the first file."""

    @property
    def missing(self) -> tuple[str, ...]: ...

    async def parse(self, content: bytes, filename: str, media_type: str = "") -> list[ParsedDocument]:
        """Raises ParseError. Where it is cancelled nothing goes on."""
        ...

    async def aclose(self) -> None: ...


class InThreads:
    """In this process, which a file can then hold up or end: for files that are trusted, and for tests."""

    def __init__(self, workers: int = 4, limits: Limits = _USUAL) -> None:
        self.missing: tuple[str, ...] = ("files are parsed in the server's own process",)
        self._limits = limits
        self._threads = Threads(workers, "parsing")

    async def parse(self, content: bytes, filename: str, media_type: str = "") -> list[ParsedDocument]:
        """Raises ParseError."""
        return await self._threads.run(parse, content, filename, media_type, self._limits)

    async def aclose(self) -> None:
        """What runs is waited for."""
        await self._threads.aclose()


class Pool:
    """On one event loop. workers: files parsed at once, and children at most."""

    def __init__(self, workers: int = 2, confinement: Confinement | None = None, limits: Limits = _USUAL) -> None:
        self._confinement = confinement or Confinement()
        self._limits = limits
        self._turns = asyncio.Semaphore(workers)
        self._idle: list[Child] = []
        self._closed = False
        self.missing: tuple[str, ...] = ()
        self._told = False

    async def parse(self, content: bytes, filename: str, media_type: str = "") -> list[ParsedDocument]:
        """Raises ParseError; OSError where no child can be started."""
        async with self._turns:
            try:
                parts = await self._read(content, filename, media_type)
            except Killed:
                log.warning("the process that parsed %r was killed from outside; it is tried once more", filename)
                try:
                    parts = await self._read(content, filename, media_type)
                except Killed:
                    message = (
                        "its parser was killed twice, most likely because the machine ran out of memory: divide it,"
                        " or attach it again when the server has less to do"
                    )
                    raise ParseError("parser_failed", message) from None
        try:
            return await asyncio.to_thread(unpacked, parts, self._limits.characters)
        except Garbage as error:
            log.error("a parser's answer about %r makes no sense: %s", filename, error)
            raise ParseError("parser_failed", f"its parser answered what makes no sense ({error})") from None

    async def aclose(self) -> None:
        """What is being parsed ends where its caller is cancelled."""
        self._closed = True
        idle, self._idle = self._idle, []
        for child in idle:
            await child.kill()

    async def _read(self, content: bytes, filename: str, media_type: str) -> list[bytes]:
        child = await self._child()
        try:
            return await child.parse(content, filename, media_type, self._limits)
        finally:
            await self._take_back(child)

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
        if child.alive and not worn and not self._closed:
            self._idle.append(child)
        else:
            await child.kill()
