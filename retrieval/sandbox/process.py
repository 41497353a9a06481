"""One child, seen from the server: started, given a file, asked for what is in it, killed."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from retrieval.parsing import Limits, ParseError
from retrieval.sandbox.frames import CODES, HEAD, NO_PAGE, Garbage, frame, head
from retrieval.sandbox.recognition import Clock, Recognition
from retrieval.sandbox.taking import Documents, One, Taking

log = logging.getLogger("ragpod.ingest")

_ROOT = str(Path(__file__).resolve().parents[2])
_START = "import sys; sys.path.append(sys.argv[1]); from retrieval.sandbox.child import main; main(sys.argv[2])"
_START_SECONDS = 120.0  # on a busy machine; .3 s on an idle one
_ENVIRONMENT = ("LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT", "PYTHONHOME")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_SLICE = 1 << 18  # bytes written or read at once
_END_SECONDS = 10.0
_FRAME_WORDS = 1 << 16  # bytes of a frame that holds no documents


class Killed(Exception):
    """The child got a SIGKILL that this process did not send: the machine had no more memory, or somebody did it."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a child may use for one file. seconds: of wall and of CPU time, and as many more for every 10 MB of it.

    memory_bytes: beside the file itself. output_bytes: of its documents. nice: added to the server's own.
    files: that one child reads before it is replaced; 1 keeps a file that has taken its child over from every other.
    entry: module:function, with the arguments of retrieval.parsing.parse.
    """

    seconds: float = 60.0
    memory_bytes: int = 1_500_000_000
    output_bytes: int = 512_000_000
    nice: int = 5
    files: int = 100
    entry: str = "retrieval.parsing:parse"

    def wall(self, size: int) -> float:
        return self.seconds * (1 + size / 10_000_000)


class Child:
    """missing: what its confinement lacks on this machine, in words."""

    def __init__(self, process: Process, confinement: Confinement) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._confinement = process, confinement
        self._in, self._out = process.stdin, process.stdout
        self.missing: tuple[str, ...] = ()
        self.served = 0
        self.resident = self.resident_at_first = 0

    @classmethod
    async def start(cls, confinement: Confinement) -> Self:
        """Raises OSError."""
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _ONE_THREAD
        given = {"parent": os.getpid(), "nice": confinement.nice, "entry": confinement.entry}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", _START, _ROOT, orjson.dumps(given).decode()),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=environment,
            start_new_session=True,
        )
        child = cls(process, confinement)
        try:
            async with asyncio.timeout(_START_SECONDS):
                letter, payload = await child._frame({b"H": _FRAME_WORDS})
            if letter != b"H":
                raise Garbage("no greeting")
            child.missing = tuple(orjson.loads(payload)["missing"])
        except (Garbage, TimeoutError, EOFError) as error:
            await child.kill()
            raise OSError(f"the parsers' process does not start ({type(error).__name__}: {error})") from error
        except BaseException:
            await child.kill()
            raise
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def parse(
        self,
        content: bytes,
        filename: str,
        media_type: str,
        limits: Limits,
        recognition: Recognition | None = None,
    ) -> list[bytes]:
        """Lists of documents as they came, for `frames.unpacked`. recognition: of the pictures of text in it.

        After anything but ParseErrors of the file's own, the child is of no more use: `alive` tells. Raises ParseError,
        Killed.
        """
        request = {
            "do": "parse",
            "filename": filename.encode(errors="replace").decode(),
            "media_type": media_type,
            "limits": asdict(limits),
            "ocr": recognition.allowed if recognition else None,
        }
        taking = Documents(self._confinement.output_bytes, recognition)
        await self._asked(request, content, taking)
        return taking.payloads

    async def picture(self, content: bytes, page: int, width: int) -> bytes:
        """A PNG, for `pages.checked`. Raises as `parse`, and NoSuchPage."""
        taking = One(b"P")
        await self._asked({"do": "picture", "page": page, "width": width}, content, taking)
        return taking.payload

    async def words(self, content: bytes, page: int) -> bytes:
        """For `pages.unpacked_layer`. Raises as `picture`."""
        taking = One(b"W")
        await self._asked({"do": "words", "page": page}, content, taking)
        return taking.payload

    async def _asked(self, request: dict[str, Any], content: bytes, taking: Taking) -> None:
        """Raises ParseError, Killed, and what `taking` has met."""
        wall = self._confinement.wall(len(content))
        request |= {"seconds": int(wall) + 1, "memory": self._confinement.memory_bytes}
        self.served += 1
        try:
            async with asyncio.timeout(wall) as timeout:
                sending = asyncio.ensure_future(self._send(request, content))
                try:
                    failure = await self._received(taking, Clock(timeout))
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, taking.end(), return_exceptions=True)
        except TimeoutError:
            await self.kill()
            raise _failed(f"reading it took longer than {wall:.0f} s") from None
        except Garbage as error:
            await self.kill()
            raise _failed(f"its parser answered what makes no sense ({error})") from None
        except (EOFError, OSError):
            raise await self._died() from None
        except asyncio.CancelledError:
            await self.kill()
            raise
        if (trouble := taking.trouble or failure) is not None:
            raise trouble

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.alive:
                self._process.kill()
        self._in.close()
        await asyncio.shield(self._reap())

    async def _reap(self) -> None:
        """`wait` returns only when the pipe has been read to its end."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_END_SECONDS):
                while await self._out.read(_SLICE):
                    pass
                await self._process.wait()

    async def _died(self) -> Exception:
        """It has closed its pipe; what lives on is killed."""
        try:
            async with asyncio.timeout(2.0):
                code = await self._process.wait()
        except TimeoutError:
            await self.kill()
            return _failed("its parser stopped answering")
        await self.kill()
        if code == -signal.SIGKILL:
            return Killed()
        if code == -signal.SIGXCPU:
            return _failed("reading it took too much computing time")
        how = f"crashed ({signal.Signals(-code).name})" if code < 0 else f"ended with status {code}"
        return _failed(f"its parser {how} while reading it")

    async def _send(self, request: dict[str, Any], content: bytes) -> None:
        with contextlib.suppress(OSError):  # who receives sees that it is gone
            self._in.write(frame(b"Q", orjson.dumps(request)) + b"B" + len(content).to_bytes(8, "big"))
            view = memoryview(content)
            for first in range(0, len(content), _SLICE):
                self._in.write(view[first : first + _SLICE])
                await self._in.drain()

    async def _reply(self, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            self._in.write(answer)
            await self._in.drain()

    async def _received(self, taking: Taking, clock: Clock) -> Exception | None:
        """To its end; the failure that it may tell."""
        while True:
            letter, payload = await self._frame(taking.most)
            if letter not in (b"E", b"F"):
                await taking.take(letter, payload, clock, self._reply)
                continue
            told = _told(payload)
            self.resident = told["resident"]
            self.resident_at_first = self.resident_at_first or self.resident
            if letter == b"E":
                taking.check_whole()
                return None
            if told.get("trace"):
                log.error("a parser failed:\n%s", told["trace"])
            if told["code"] == NO_PAGE:
                return taking.no_page(told["message"])
            return ParseError(told["code"], told["message"])

    async def _frame(self, most: Mapping[bytes, int]) -> tuple[bytes, bytes]:
        """most: bytes of it, by letter; an end or a failure may always come. Raises Garbage, EOFError."""
        letter, length = head(await self._out.readexactly(HEAD))
        limit = _FRAME_WORDS if letter in (b"E", b"F") else most.get(letter)
        if limit is None:
            raise Garbage("an unknown frame")
        if length > limit:
            raise Garbage("more than one file may give")
        return letter, await self._out.readexactly(length)


def _told(payload: bytes) -> dict[str, Any]:
    """Of an end or a failure. Raises Garbage."""
    try:
        told = orjson.loads(payload)
        code, resident = told.get("code", "parser_failed"), told["resident"]
        words = [told.get(name, "") for name in ("message", "trace")]
        sound = code in (*CODES, NO_PAGE) and type(resident) is int and all(type(each) is str for each in words)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Garbage("an unreadable end") from None
    if not sound:
        raise Garbage("an unreadable end")
    result: dict[str, Any] = {"message": "", **told}
    return result


def _failed(what: str) -> ParseError:
    advice = "the file is damaged, or made to do harm: open it in its own program, save it anew and send that"
    return ParseError("parser_failed", f"{what}; {advice}")
