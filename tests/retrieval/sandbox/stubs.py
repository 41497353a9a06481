"""Parsers that do harm, for the child (module:function); the file's bytes say which."""

import ctypes
import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from retrieval.parsing import Limits, ParseError
from retrieval.parsing.base.recognition import Recognise
from retrieval.parsing.pdf import rendering
from retrieval.types import ParsedDocument
from tests.retrieval.parsing.pdf.files import pdf, said

_PAGE = pdf(said(10, 700, "Hello"))


def parse(
    content: bytes, filename: str, media_type: str, limits: Limits, recognise: Recognise | None = None
) -> list[ParsedDocument]:
    name, _, argument = content.decode().partition(" ")
    return [ParsedDocument(str(_DONE[name](argument)), "title", attributes={"a": 1.5, "b": True, "c": "x"})]


def _abort(_: str) -> Any:
    os.abort()


def _segfault(_: str) -> Any:
    return ctypes.string_at(0)


def _loop(_: str) -> Any:
    while True:
        pass


def _sleep(seconds: str) -> Any:
    time.sleep(float(seconds or 1000))
    return "slept"


def _eat(_: str) -> Any:
    held = []
    while True:
        held.append(bytearray(64 << 20))


def _fail(_: str) -> Any:
    raise KeyError("within")


def _refuse(_: str) -> Any:
    raise ParseError("needs_ocr", "it holds pictures of text")


def _exit(status: str) -> Any:
    os._exit(int(status))


def _answers() -> int:
    """The pipe to the server."""
    return next(number for number in range(3, 64) if _leads_out(number))


def _leads_out(number: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(number).st_mode) and fcntl.fcntl(number, fcntl.F_GETFL) & os.O_WRONLY != 0
    except OSError:
        return False


def _garbage(_: str) -> Any:
    os.write(_answers(), os.urandom(4096))
    time.sleep(100)


def _flood(_: str) -> Any:
    answers = _answers()
    os.write(answers, b"D" + (1 << 60).to_bytes(8, "big"))
    while True:
        os.write(answers, b"x" * 65536)


def _lie(payload: str) -> Any:
    told = payload.encode()
    os.write(_answers(), b"D" + len(told).to_bytes(8, "big") + told)
    os.write(_answers(), b"E" + (14).to_bytes(8, "big") + b'{"resident":0}')
    time.sleep(100)


def _picture(words: str) -> Any:
    """count, how many times, whether it is one."""
    count, times, *png = words.split()
    payload = rendering.render(_PAGE, 1, 40) if png else b"x"
    told = b'{"pages":%b}' % count.encode()
    os.write(_answers(), b"S" + len(told).to_bytes(8, "big") + told)
    for _ in range(int(times)):
        os.write(_answers(), b"P" + len(payload).to_bytes(8, "big") + payload)
    time.sleep(100)


def _attempt(what: str) -> str:
    try:
        _ATTEMPTS[what]()
    except OSError as error:
        return f"refused: {error.errno}"
    except RuntimeError as error:
        return f"refused: {error}"
    return "done"


def _thread() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


_ATTEMPTS = {
    "socket": lambda: socket.socket(),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "pair": lambda: socket.socketpair(),
    "passwd": lambda: Path("/etc/passwd").read_bytes(),
    "list": lambda: os.listdir("/"),
    "write": lambda: Path("/tmp/ragpod-sandbox-wrote").write_bytes(b"x"),
    "beside": lambda: Path(__file__).with_suffix(".out").write_bytes(b""),
    "fork": lambda: os.fork(),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "run": lambda: subprocess.run(["/bin/true"], check=True),
    "kill": lambda: os.kill(os.getppid(), signal.SIGCONT),
    "memfd": lambda: os.memfd_create("x"),
    "environment": lambda: Path("/proc/1/environ").read_bytes(),
    "parent": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "thread": _thread,
    "library": lambda: Path(os.__file__).read_bytes(),
}
_DONE = {
    "abort": _abort,
    "segfault": _segfault,
    "loop": _loop,
    "sleep": _sleep,
    "eat": _eat,
    "fail": _fail,
    "refuse": _refuse,
    "exit": _exit,
    "garbage": _garbage,
    "flood": _flood,
    "lie": _lie,
    "attempt": _attempt,
    "picture": _picture,
    "say": lambda text: text,
    "pid": lambda _: os.getpid(),
    "nice": lambda _: os.nice(0),
    "environ": lambda _: " ".join(os.environ),
    "print": lambda _: (print("noise"), sys.stdout.flush(), "quiet")[-1],
}
