"""Scans through a real child and a real tesseract, and children that lie about pictures."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from retrieval.parsing import ParseError
from retrieval.places import place_of
from retrieval.sandbox.in_threads import InThreads
from retrieval.sandbox.pool import Confinement, Crowded, Ocr, Parser, Pool, Unwatched
from retrieval.sandbox.tesseract import Tesseract, look
from tests.retrieval.parsing.pdf.files import said
from tests.retrieval.parsing.pdf.scans import BLANK, LINES, PLACES, many, scan, text_page
from tests.shared import OK, needs_shared
from tests.tesseract import TESSERACT
from tests.until import PATIENCE, until

STUBS = Confinement(seconds=5.0, entry="tests.retrieval.sandbox.stubs:parse")
SLOW = Ocr(seconds=PATIENCE)


class Seen(Unwatched):
    """What a scan tells, and keeps."""

    def __init__(self) -> None:
        self.total = self.ready = self.begun = 0
        self.words: dict[str, str] = {}
        self.hits = 0

    def begin(self) -> None:
        self.begun += 1

    def expect(self, pages: int) -> None:
        self.total += pages

    def done(self) -> None:
        self.ready += 1

    async def kept(self, picture: str) -> str | None:
        self.hits += picture in self.words
        return self.words.get(picture)

    async def keep(self, picture: str, words: str) -> None:
        self.words[picture] = words


@asynccontextmanager
async def closing(parser: Parser) -> AsyncIterator[Parser]:
    try:
        yield parser
    finally:
        await parser.aclose()


PARSERS = pytest.mark.parametrize("make", [lambda ocr: Pool(1, ocr=ocr), lambda ocr: InThreads(2, ocr)])
Make = Callable[[Ocr], Parser]


@TESSERACT
@PARSERS
async def test_a_scan_is_read_and_every_line_has_its_place(make: Make) -> None:
    seen = Seen()
    async with closing(make(SLOW)) as parser:
        (document,) = await parser.parse(scan(text_page(), text_page(LINES[:1])), "a.pdf", scan=seen)
    assert document.text.split("\n\n")[0].replace("\n", " ").startswith(LINES[0])
    assert document.warning == "recognised by OCR, with its mistakes: pages 1-2"
    assert (seen.total, seen.ready, seen.begun) == (2, 2, 1)
    for page, at in ((1, document.text.index("Parcels")), (2, document.text.rindex("Parcels"))):
        (place,) = place_of(document.regions, at, at + len("Parcels")).pages
        assert place.page == page
        (box,) = place.boxes
        x, y = PLACES[0]
        assert abs(box.x0 - x) < 4
        assert 800 - y - 22 < box.y0 < box.y1 < 800 - y + 8  # 20 points high, from the baseline up
        assert 60 < box.x1 - box.x0 < 90


@TESSERACT
@PARSERS
async def test_beside_pages_with_text_those_without_are_recognised(make: Make) -> None:
    async with closing(make(SLOW)) as parser:
        (document,) = await parser.parse(scan(text_page(), plain=[said(60, 700, "Only text")]), "a.pdf")
    assert document.text.index("refunded") < document.text.index("Only text")
    assert document.warning == "recognised by OCR, with its mistakes: page 1"


@TESSERACT
@PARSERS
async def test_what_was_recognised_before_is_not_recognised_again(make: Make) -> None:
    seen, content = Seen(), scan(text_page())
    async with closing(make(SLOW)) as parser:
        first = await parser.parse(content, "a.pdf", scan=seen)
        assert (len(seen.words), seen.hits) == (1, 0)
        assert await parser.parse(content, "a.pdf", scan=seen) == first
    assert seen.hits == 1


@TESSERACT
@PARSERS
async def test_limits_of_pages_and_of_time_are_said(make: Make) -> None:
    content = scan(text_page(), text_page())
    async with closing(make(Ocr(pages=1, seconds=PATIENCE))) as parser:
        (document,) = await parser.parse(content, "a.pdf")
        assert "not recognised: page 2 (no more than 1 pages of a file are recognised)" in document.warning
    async with closing(make(Ocr(seconds=0.01))) as parser:
        with pytest.raises(ParseError, match=r"more than 0\.01 s") as caught:
            await parser.parse(content, "a.pdf")
        assert caught.value.code == "needs_ocr"


@TESSERACT
@PARSERS
async def test_languages_that_are_not_installed_are_done_without(make: Make) -> None:
    async with closing(make(Ocr("eng+tlh", seconds=PATIENCE))) as parser:
        assert "refunded" in (await parser.parse(scan(text_page()), "a.pdf"))[0].text
    async with closing(make(Ocr("tlh"))) as parser:
        with pytest.raises(ParseError, match="no OCR"):
            await parser.parse(scan(text_page()), "a.pdf")


@PARSERS
async def test_without_tesseract_a_scan_needs_ocr(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert await look() is None
    async with closing(make(Ocr())) as parser:
        with pytest.raises(ParseError, match="no OCR") as caught:
            await parser.parse(scan(text_page()), "a.pdf")
    assert caught.value.code == "needs_ocr"


@TESSERACT
async def test_who_gives_up_ends_tesseract_and_its_child() -> None:
    seen = Seen()
    async with closing(Pool(1, ocr=SLOW)) as parser:
        running = asyncio.create_task(parser.parse(scan(*many(30)), "a.pdf", scan=seen))
        await until(lambda: seen.ready > 0 and bool(processes("tesseract")), PATIENCE)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert not processes("tesseract")
        assert not processes("retrieval.sandbox")
        assert not parser.crowded
        assert (await parser.parse(b"text", "b.txt"))[0].text == "text"


@TESSERACT
async def test_a_long_scan_holds_up_no_other_file_and_a_short_one_little() -> None:
    long = Seen()
    async with closing(Pool(1, ocr=SLOW)) as parser:
        running = asyncio.create_task(parser.parse(scan(*many(40)), "long.pdf", scan=long))
        await until(lambda: long.ready > 0, PATIENCE)
        assert (await parser.parse(b"text", "b.txt"))[0].text == "text"
        assert "refunded" in (await parser.parse(scan(text_page()), "short.pdf"))[0].text
        assert not running.done()
        second = Seen()
        other = asyncio.create_task(parser.parse(scan(*many(40)), "second.pdf", scan=second))
        await until(lambda: parser.crowded, PATIENCE)
        with pytest.raises(Crowded):
            await parser.parse(scan(text_page()), "third.pdf")
        for task in (running, other):
            task.cancel()
        await asyncio.gather(running, other, return_exceptions=True)
        assert not parser.crowded


@TESSERACT
async def test_the_time_of_ocr_is_not_the_parsers() -> None:
    """Three pages take longer than the parser may."""
    async with closing(Pool(1, Confinement(seconds=0.6), ocr=SLOW)) as parser:
        await parser.parse(b"warm", "a.txt")
        before = time.monotonic()
        (document,) = await parser.parse(scan(*many(3)), "a.pdf")
        assert "pages 1-3" in document.warning
        assert time.monotonic() - before > 0.6


@TESSERACT
async def test_pages_at_once_come_back_in_their_order() -> None:
    pages = [text_page([f"Page number {word}"]) for word in ("one", "two", "three", "four", "five")]
    async with closing(Pool(1, ocr=Ocr(workers=3, seconds=PATIENCE))) as parser:
        (document,) = await parser.parse(scan(*pages, BLANK), "a.pdf")
    found = [word for word in document.text.split() if word in ("one", "two", "three", "four", "five")]
    assert found == ["one", "two", "three", "four", "five"]


@TESSERACT
@pytest.mark.parametrize(
    "words",
    [
        "picture 1 1",  # no PNG
        "picture 0 1 png",  # more than it has said
        "picture 2000 1 png",  # more than it may
        "picture 1 5 png",  # more at once
        "picture x 1 png",
    ],
)
async def test_a_child_that_lies_about_pictures_fails_alone(words: str) -> None:
    async with closing(Pool(1, STUBS, ocr=SLOW)) as parser:
        with pytest.raises(ParseError, match="makes no sense"):
            await parser.parse(words.encode(), "a.txt")
        assert not parser.crowded
        assert (await parser.parse(b"say next", "a.txt"))[0].text == "next"


async def test_without_ocr_no_picture_may_come() -> None:
    async with closing(Pool(1, STUBS)) as parser:
        with pytest.raises(ParseError, match="makes no sense"):
            await parser.parse(b"picture 1 1 png", "a.txt")


@TESSERACT
async def test_tesseract_is_confined_and_a_bad_picture_is_its_own_failure() -> None:
    found = await look()
    assert found is not None
    assert found.version.startswith("tesseract")
    told = await Tesseract(SLOW).read(b"no picture")
    assert not isinstance(told, str)


@needs_shared
@TESSERACT
async def test_a_real_scan_of_three_pages() -> None:
    path = next(OK.glob("*scan.pdf"))
    async with closing(Pool(1, ocr=SLOW)) as parser:
        (document,) = await parser.parse(path.read_bytes(), path.name)
    assert "COMPREHENSIVE MEDICAL REPORT" in document.text
    assert {region.page for region in document.regions} == {1, 2, 3}
    assert document.warning == "recognised by OCR, with its mistakes: pages 1-3"


_PARENT = """
import asyncio
from retrieval.sandbox.tesseract import Ocr, Tesseract
from tests.retrieval.parsing.pdf.files import pdf, said
from tests.retrieval.sandbox.test_recognition import processes
from retrieval.parsing.pdf import rendering
async def main():
    page = "".join(said(20, 20 + 8 * row, "many words to be read " * 8, 7) for row in range(95))
    reading = asyncio.create_task(Tesseract(Ocr("eng")).read(rendering.render(pdf(page), 1, 2600)))
    while not processes("stdin"):
        await asyncio.sleep(0.01)
    print(*processes("stdin"), flush=True)
    await reading
asyncio.run(main())
"""


@TESSERACT
def test_tesseract_ends_with_a_server_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        (pid,) = parent.stdout.readline().split()
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists() and b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2]:
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.02)


def processes(name: str) -> list[int]:
    """Of this process's children, those whose command names it."""
    listed = " ".join(task.read_text() for task in Path("/proc/self/task").glob("*/children")).split()
    found = []
    for pid in listed:
        with suppress(OSError):
            if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
    return found
