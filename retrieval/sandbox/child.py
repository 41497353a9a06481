"""The child: reads files from one pipe, writes their documents to another, and can do nothing else.

Started by retrieval.sandbox.process with its options as one JSON argument. Whatever a parser prints goes nowhere.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import orjson

from retrieval.parsing import Limits, ParseError
from retrieval.parsing.formats import FORMATS
from retrieval.sandbox.confine import confine, join_parent, lift_memory, limit_file, open_statm, resident
from retrieval.sandbox.frames import HEAD, frame, head, packed

_MEMORY = "reading it takes more memory than one file may have: divide it, or save it anew in a simpler form"
_TRACE = 4000  # characters of a traceback, for the log


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
    _send(answers, frame(b"H", orjson.dumps({"missing": missing})))
    while (request := _frame(requests)) is not None:
        content = _frame(requests)
        if content is None:
            break
        _answer(answers, parse, orjson.loads(request), content)
        del content
        lift_memory()
    os._exit(0)


def _imported(entry: str) -> Callable[..., Any]:
    """The parser, with all that it would import later: nothing can be opened then."""
    for module in {format.module for format in FORMATS}:
        try:
            importlib.import_module(module)
        except ImportError:
            continue  # of an extra that is not installed: the file that needs it says so
    module, _, name = entry.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _answer(answers: int, parse: Callable[..., Any], request: dict[str, Any], content: bytes) -> None:
    limit_file(request["memory"] + 2 * len(content), request["seconds"])
    try:
        documents = parse(content, request["filename"], request["media_type"], Limits(**request["limits"]))
        for part in packed(documents):
            _send(answers, part)
        last = frame(b"E", orjson.dumps({"resident": resident()}))
    except ParseError as error:
        last = _failure(error.code, error.message)
    except MemoryError:
        last = _failure("parser_failed", _MEMORY)
    except Exception as error:
        last = _failure(
            "parser_failed",
            f"it could not be read: its parser failed with {type(error).__name__}; save it anew and send it again",
            traceback.format_exc()[-_TRACE:],
        )
    _send(answers, last)


def _failure(code: str, message: str, trace: str = "") -> bytes:
    told = {"code": code, "message": message, "trace": trace, "resident": resident()}
    return frame(b"F", orjson.dumps({k: _plain(v) if isinstance(v, str) else v for k, v in told.items()}))


def _plain(text: str) -> str:
    """orjson refuses lone surrogates."""
    return text.encode(errors="replace").decode()


def _frame(requests: int) -> bytes | None:
    """The next one's payload; None where the parent has gone."""
    start = _read(requests, HEAD)
    return None if start is None else _read(requests, head(start)[1])


def _read(requests: int, count: int) -> bytes | None:
    received = bytearray(count)
    view, at = memoryview(received), 0
    while at < count:
        got = os.readv(requests, [view[at : at + (1 << 20)]])
        if not got:
            return None
        at += got
    view.release()
    return bytes(received)


def _send(answers: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(answers, rest) :]
