"""What files do in a child, and what the server sees of it: real children, real kernel."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from retrieval.parsing import Limits, ParseError, parse
from retrieval.sandbox.pool import Confinement, Pool

STUBS = "tests.retrieval.sandbox.stubs:parse"
QUICK = Confinement(seconds=3.0, memory_bytes=300_000_000, output_bytes=10_000_000, entry=STUBS)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux confines, others limit resources alone")


@asynccontextmanager
async def pool(confinement: Confinement = QUICK, workers: int = 1) -> AsyncIterator[Pool]:
    made = Pool(workers, confinement)
    try:
        yield made
    finally:
        await made.aclose()


async def told(given: Pool, words: str) -> str:
    return (await given.parse(words.encode(), "a.txt"))[0].text


async def failure(given: Pool, words: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        await told(given, words)
    return caught.value


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("abort", "SIGABRT"),
        ("segfault", "SIGSEGV"),
        ("loop", "longer than 3 s"),
        ("sleep", "longer than 3 s"),
        ("eat", "more memory"),
        ("fail", "KeyError"),
        ("exit 0", "status 0"),
        ("garbage", "makes no sense"),
        ("flood", "makes no sense"),
    ],
)
async def test_a_file_that_harms_its_parser_fails_alone(words: str, says: str) -> None:
    async with pool() as given:
        first = await told(given, "pid")
        error = await failure(given, words)
        assert error.code == "parser_failed"
        assert says in error.message
        assert "save it anew" in error.message or "divide it" in error.message
        assert await told(given, "say next") == "next"
        if words not in ("eat", "fail"):  # of which a child recovers
            assert not exists(first)


@pytest.mark.parametrize(
    "payload",
    [
        "[]",
        "[[1]]",
        "{}",
        '[["text","","",{},[],"","",[["prose",0,9,""]],[],""]]',
        '[["text","","",{},[],"","",[["magic",0,4,""]],[],""]]',
        '[["text","","",{"a":[1]},[],"","",[],[],""]]',
        '[["text","","",{},[[3,[],null],[1,[],null]],"","",[],[],""]]',
        '[["text","","",{},[],"","",[],[[2,3,1,null,"",null,"",""],[0,1,1,null,"",null,"",""]],""]]',
        '[["text","","",{},[],"","",[],[[0,4,1,null,"AAAA",null,"",""]],""]]',
        '[["text","","",{},[],"","",[],[[0,4,-1,null,"",null,"",""]],""]]',
        '[["text",7,"",{},[],"","",[],[],""]]',
    ],
)
async def test_a_lie_is_no_document(payload: str) -> None:
    async with pool() as given:
        assert "makes no sense" in (await failure(given, f"lie {payload}")).message


@LINUX
@pytest.mark.parametrize(
    "what",
    "socket unix pair passwd list write beside fork exec run kill memfd environment parent".split(),  # noqa: SIM905
)
async def test_a_parser_reaches_nothing(what: str) -> None:
    async with pool() as given:
        assert (await told(given, f"attempt {what}")).startswith("refused")


@LINUX
async def test_what_parsers_need_works_and_nothing_else_is_left() -> None:
    async with pool() as given:
        assert await told(given, "attempt thread") == "done"
        assert await told(given, "attempt library") == "done"
        assert await told(given, "print") == "quiet"
        assert "PATH" not in (await told(given, "environ")).split()
        assert int(await told(given, "nice")) == os.nice(0) + 5
        assert given.missing == ()


async def test_a_parsers_own_refusal_comes_as_it_is_and_costs_no_child() -> None:
    async with pool() as given:
        first = await told(given, "pid")
        error = await failure(given, "refuse")
        assert (error.code, error.message) == ("needs_ocr", "it holds pictures of text")
        assert await told(given, "pid") == first


async def test_the_same_documents_as_without_a_child() -> None:
    files = {
        "a.md": "# 제목\n\n본문 😀 text.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- x\n- y\n".encode(),
        "b.csv": "_id,질문,답변\n1,왜?,그래서\n2,who,me\n".encode(),
        "c.html": b"<title>t</title><h1>One</h1><p>two<table><tr><th>x<tr><td>1</table>",
        "d.jsonl": b'{"_id": "1", "title": "t", "text": "hello", "n": 3, "f": 2.5, "b": true}\n',
        "e.txt": b"one\x0ctwo",
    }
    async with pool(Confinement()) as given:
        for name, content in files.items():
            assert await given.parse(content, name) == parse(content, name)
        with pytest.raises(ParseError) as caught:
            await given.parse(b"x", "a.unknown")
        assert caught.value.code == "unsupported_file"


async def test_two_hundred_files_through_two_children_which_are_replaced() -> None:
    async with pool(Confinement(files=50, entry=STUBS), workers=2) as given:
        found = await asyncio.gather(*(told(given, "pid") for _ in range(200)))
    assert 4 <= len(set(found)) <= 5
    assert not any(exists(pid) for pid in found)


async def test_a_large_file_goes_through() -> None:
    content = ("가나다 text\n" * 600_000).encode()
    async with pool(Confinement()) as given:
        assert await given.parse(content, "a.txt") == parse(content, "a.txt", "", Limits())


async def test_who_gives_up_kills_the_child() -> None:
    async with pool() as given:
        first = int(await told(given, "pid"))
        running = asyncio.create_task(told(given, "loop"))
        await asyncio.sleep(0.3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not exists(first)
        assert await told(given, "say next") == "next"


async def test_one_that_is_killed_from_outside_is_tried_once_more() -> None:
    async with pool() as given:
        first = int(await told(given, "pid"))
        running = asyncio.create_task(told(given, "sleep 1.5"))
        await asyncio.sleep(0.3)
        os.kill(first, signal.SIGKILL)
        assert await running == "slept"
        second = int(await told(given, "pid"))
        running = asyncio.create_task(told(given, "sleep"))
        await asyncio.sleep(0.3)
        os.kill(second, signal.SIGKILL)
        third = await _next_child(second)
        os.kill(third, signal.SIGKILL)
        with pytest.raises(ParseError, match="killed twice"):
            await running


async def _next_child(before: int) -> int:
    """The pool's next child, when it reads."""
    for _ in range(400):
        await asyncio.sleep(0.05)
        if found := [pid for pid in _children() if pid != before]:
            await asyncio.sleep(0.5)
            return found[0]
    raise AssertionError("no other child")


def _children() -> list[int]:
    """Confined ones."""
    listed = " ".join(task.read_text() for task in Path("/proc/self/task").glob("*/children")).split()
    confined = [pid for pid in listed if "Seccomp:\t2" in _read(pid, "status")]
    return [int(pid) for pid in confined if "retrieval.sandbox" in _read(pid, "cmdline")]


def exists(pid: int | str) -> bool:
    return Path(f"/proc/{pid}").exists()


def _read(pid: str, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


_PARENT = """
import asyncio
from retrieval.sandbox.pool import Confinement, Pool
async def main():
    pool = Pool(1, Confinement(entry="tests.retrieval.sandbox.stubs:parse"))
    print((await pool.parse(b"pid", "a.txt"))[0].text, flush=True)
    await pool.parse(b"loop", "a.txt")
asyncio.run(main())
"""


@LINUX
def test_children_end_with_a_server_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    until = time.monotonic() + 20
    while Path(f"/proc/{child}").exists() and "Z" not in _state(child):
        assert time.monotonic() < until, "the child lives on"
        time.sleep(0.02)


def _state(pid: int) -> str:
    return (_read(str(pid), "stat").rpartition(")")[2].split() or ["Z"])[0]
