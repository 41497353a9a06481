"""The child: reads files from one pipe, writes what was asked of them to another, and can do nothing else.

Started by retrieval.sandbox.process with its options as one JSON argument. Whatever a parser prints goes nowhere.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from retrieval.parsing import Limits, ParseError
from retrieval.parsing.base.recognition import Recognise, Unread, beyond
from retrieval.parsing.formats import FORMATS
from retrieval.parsing.pdf import rendering
from retrieval.sandbox.confine import confine, extend_time, join_parent, lift_memory, limit_file, open_statm, resident
from retrieval.sandbox.frames import HEAD, NO_PAGE, PICTURE_SECONDS, frame, head, packed
from retrieval.sandbox.pages import packed_layer

_MEMORY = "reading it takes more memory than one file may have: divide it, or save it anew in a simpler form"
_TRACE = 4000  # characters of a traceback, for the log

Parse = Callable[..., Any]


class _NoPage(Exception):
    """The file has fewer."""


def main(options: str) -> None:
    given = orjson.loads(options)
    join_parent(given["parent"], given["nice"])
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    os.close(nothing)
    open_statm()
    parse = _imported(given["entry"])
    missing = confine([sys.prefix, sys.base_prefix, *sys.path, "/usr/lib", "/lib", "/lib64", "/usr/share/zoneinfo"])
    pipes = _Pipes(requests, answers)
    pipes.send(frame(b"H", orjson.dumps({"missing": missing})))
    while (request := pipes.receive()) is not None:
        content = pipes.receive()
        if content is None:
            break
        _answer(pipes, parse, orjson.loads(request[1]), content[1])
        del content
        lift_memory()
    os._exit(0)


def _imported(entry: str) -> Parse:
    """The parser, with all that it would import later: nothing can be opened then."""
    for module in {format.module for format in FORMATS}:
        try:
            importlib.import_module(module)
        except ImportError:
            continue  # of an extra that is not installed: the file that needs it says so
    module, _, name = entry.partition(":")
    found: Parse = getattr(importlib.import_module(module), name)
    return found


def _answer(pipes: "_Pipes", parse: Parse, request: dict[str, Any], content: bytes) -> None:
    limit_file(request["memory"] + 2 * len(content), request["seconds"])
    try:
        for part in _parts(pipes, parse, request, content):
            pipes.send(part)
        last = frame(b"E", orjson.dumps({"resident": resident()}))
    except ParseError as error:
        last = _failure(error.code, error.message)
    except _NoPage as error:
        last = _failure(NO_PAGE, str(error))
    except MemoryError:
        last = _failure("parser_failed", _MEMORY)
    except Exception as error:
        last = _failure(
            "parser_failed",
            f"it could not be read: its parser failed with {type(error).__name__}; save it anew and send it again",
            traceback.format_exc()[-_TRACE:],
        )
    pipes.send(last)


def _parts(pipes: "_Pipes", parse: Parse, request: dict[str, Any], content: bytes) -> Iterator[bytes]:
    if request["do"] == "parse":
        given = (content, request["filename"], request["media_type"], Limits(**request["limits"]))
        yield from packed(parse(*given, *_recogniser(pipes, request["ocr"])))
        return
    try:
        if request["do"] == "picture":
            yield frame(b"P", rendering.render(content, request["page"], request["width"]))
        else:
            yield frame(b"W", packed_layer(rendering.words(content, request["page"])))
    except IndexError as error:
        raise _NoPage(str(error)) from None


def _recogniser(pipes: "_Pipes", ocr: dict[str, int] | None) -> tuple[Recognise, ...]:
    return () if ocr is None else (_Recogniser(pipes, ocr["pages"], ocr["ahead"]),)


class _Recogniser:
    """Asks the server for OCR. pages: pictures that one file may have. ahead: sent before the first is answered."""

    def __init__(self, pipes: "_Pipes", pages: int, ahead: int) -> None:
        self._pipes, self._most, self._left, self._ahead = pipes, pages, pages, ahead

    def __call__(self, count: int, pictures: Iterable[bytes]) -> Iterator[str | Unread]:
        asked = min(count, self._left)
        self._left -= asked
        if asked:
            self._pipes.send(frame(b"S", orjson.dumps({"pages": asked})))
        waiting: list[bool] = []  # of each picture that is not answered yet, whether it was sent
        for _, picture in zip(range(asked), pictures, strict=False):
            if len(waiting) == self._ahead:
                yield self._told(sent=waiting.pop(0))
            extend_time(PICTURE_SECONDS)
            if picture:
                self._pipes.send(frame(b"P", picture))
            waiting.append(bool(picture))
        for sent in waiting:
            yield self._told(sent=sent)
        for _ in range(count - asked):
            yield beyond(self._most)

    def _told(self, *, sent: bool) -> str | Unread:
        if not sent:
            return Unread("a page could not be drawn")
        if (reply := self._pipes.receive()) is None:
            os._exit(0)  # the server has gone
        text = reply[1].decode("utf-8", "replace")
        return text if reply[0] == b"T" else Unread(text)


def _failure(code: str, message: str, trace: str = "") -> bytes:
    told = {"code": code, "message": message, "trace": trace, "resident": resident()}
    return frame(b"F", orjson.dumps({k: _plain(v) if isinstance(v, str) else v for k, v in told.items()}))


def _plain(text: str) -> str:
    """orjson refuses lone surrogates."""
    return text.encode(errors="replace").decode()


class _Pipes:
    """From the server and to it."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers

    def receive(self) -> tuple[bytes, bytes] | None:
        """The next frame's letter and payload; None where the parent has gone."""
        if (start := self._read(HEAD)) is None:
            return None
        letter, length = head(start)
        payload = self._read(length)
        return None if payload is None else (letter, payload)

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._answers, rest) :]

    def _read(self, count: int) -> bytes | None:
        received = bytearray(count)
        view, at = memoryview(received), 0
        while at < count:
            got = os.readv(self._requests, [view[at : at + (1 << 20)]])
            if not got:
                return None
            at += got
        view.release()
        return bytes(received)
