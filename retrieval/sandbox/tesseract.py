"""Tesseract, where the machine has it: a process for each picture, as limited as a parser and ended with its caller."""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path

from retrieval.characters import one_line
from retrieval.parsing.base.recognition import Unread

log = logging.getLogger("ragpod.ingest")

_ROOT = str(Path(__file__).resolve().parents[2])
_START = "import sys; sys.path.append(sys.argv[1]); from retrieval.sandbox.launch import main; main(sys.argv[2])"
_LIBRARIES = ("/usr/lib", "/lib", "/lib64", "/usr/local/lib", "/usr/share")
_MEMORY = 2_000_000_000
_OUTPUT = 20_000_000  # bytes of one page's words
_TOLD = 4000  # bytes of what it says beside them
_LIST_SECONDS = 60.0  # on a busy machine


@dataclass(frozen=True, slots=True)
class Ocr:
    """languages: tesseract's names with + between; those that are not installed are left out. workers: pictures
    recognised at once. seconds: of wall and of CPU time for one. pages: of a file that are recognised at most. nice:
    added to the server's own.
    """

    languages: str = "kor+eng"
    workers: int = 1
    seconds: float = 120.0
    pages: int = 1000
    nice: int = 5

    @property
    def files(self) -> int:
        """That are recognised at once: a short one need not wait for a long one's end."""
        return self.workers + 1


@dataclass(frozen=True, slots=True)
class Found:
    """version: as it calls itself. languages: those that are installed."""

    version: str
    languages: tuple[str, ...]


class Tesseract:
    """On one event loop; who is cancelled ends the process."""

    def __init__(self, ocr: Ocr) -> None:
        self.ocr = ocr
        self._turns = asyncio.Semaphore(ocr.workers)
        self._looking = asyncio.Lock()
        self._languages = ""

    async def languages(self) -> str:
        """Those of `ocr.languages` that are here; "" where there is no OCR. Looked for until some are found. Raises
        OSError.
        """
        async with self._looking:
            if not self._languages:
                found = await look()
                wanted = self.ocr.languages.split("+")
                here = [name for name in wanted if found and name in found.languages]
                if found and (missing := [name for name in wanted if name not in here]):
                    log.warning("OCR does without what tesseract lacks here: %s", ", ".join(missing))
                self._languages = "+".join(here)
            return self._languages

    async def read(self, picture: bytes) -> str | Unread:
        """Its words as TSV. picture: PNG, checked. Raises OSError where no process can be started."""
        languages = await self.languages()
        if not languages:
            return Unread("this server has no OCR (tesseract)")
        async with self._turns:
            try:
                async with asyncio.timeout(self.ocr.seconds):
                    code, words, told = await _run(["stdin", "stdout", "-l", languages, "tsv"], picture, self.ocr)
            except TimeoutError:
                return Unread(f"OCR took more than {self.ocr.seconds:g} s on a page")
        if code or len(words) > _OUTPUT:
            log.warning("tesseract ended with status %d: %s", code, told)
            return Unread("OCR failed on a page")
        return words.decode("utf-8", "replace")


def installed() -> bool:
    """Whether it is on PATH."""
    return shutil.which("tesseract") is not None


async def look() -> Found | None:
    """None where it is not on PATH, or does not run. Raises OSError where no process can be started."""
    if not installed():
        return None
    usual = Ocr(nice=0)
    try:
        async with asyncio.timeout(_LIST_SECONDS):
            code, version, told = await _run(["--version"], b"", usual)
            listed = await _run(["--list-langs"], b"", usual)
    except TimeoutError:
        code, version, told, listed = 1, b"", "it does not answer", (1, b"", "")
    if code or listed[0]:
        log.warning("tesseract is installed and does not run: %s", told or listed[2])
        return None
    lines = (version.decode("utf-8", "replace") or told).split("\n")
    return Found(one_line(lines[0]), tuple(sorted(line.strip() for line in listed[1].decode().split("\n")[1:] if line)))


async def _run(arguments: list[str], given: bytes, ocr: Ocr) -> tuple[int, bytes, str]:
    """(status, output, what it says beside). However this ends, the process has ended too. Raises OSError."""
    process = await _started(arguments, ocr)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        feeding = asyncio.ensure_future(_feed(process.stdin, given))
        try:
            words, told = await asyncio.gather(_taken(process.stdout, _OUTPUT), _taken(process.stderr, _TOLD))
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])
        return await process.wait(), words, one_line(told.decode("utf-8", "replace"))
    finally:
        await asyncio.shield(_ended(process))


async def _started(arguments: list[str], ocr: Ocr) -> Process:
    options, environment = _prepared(arguments, ocr)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _START, _ROOT, json.dumps(options)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=environment,
        start_new_session=True,
    )


def _prepared(arguments: list[str], ocr: Ocr) -> tuple[dict[str, object], dict[str, str]]:
    """What `launch` is to do, and its environment."""
    program = os.path.realpath(shutil.which("tesseract") or "tesseract")
    home = Path(program).parents[1]  # with share/ beside bin/
    prefix = os.environ.get("TESSDATA_PREFIX", "")
    options = {
        "parent": os.getpid(),
        "nice": ocr.nice,
        "memory": _MEMORY,
        "seconds": int(ocr.seconds) + 1,
        "program": program,
        "arguments": ["tesseract", *arguments],
        "readable": [
            *_LIBRARIES,
            str(home if home != Path("/") else Path(program).parent),
            *([prefix] if prefix else []),
        ],
    }
    environment = {"OMP_THREAD_LIMIT": "1"} | ({"TESSDATA_PREFIX": prefix} if prefix else {})
    if libraries := os.environ.get("LD_LIBRARY_PATH"):
        environment["LD_LIBRARY_PATH"] = libraries
    return options, environment


async def _feed(stdin: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(OSError):  # it has ended: its status says why
        stdin.write(given)
        await stdin.drain()
        stdin.close()


async def _taken(stream: asyncio.StreamReader, most: int) -> bytes:
    """All of it, or one byte more than `most`; the rest is read and thrown away."""
    taken = bytearray()
    while piece := await stream.read(1 << 16):
        taken += piece[: most + 1 - len(taken)]
    return bytes(taken)


async def _ended(process: Process) -> None:
    """`wait` returns only when the pipes have been read to their end."""
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            process.kill()
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(10.0):
            await process.communicate()
