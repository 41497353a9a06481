"""Scans made of a PDF with text, recognised as the ingest does it, beside what the PDF itself says.

    python -m benchmarks.ocr ../shared/data/docs/ok/debian_install.ko.pdf --pages 20 40 60 --dots 200

found: of the page's pairs of neighbouring letters and digits (spaces aside), those that OCR has too. place: of words
that both have once, how far apart their middles are, in points, the median and the 95th of 100. view: a page of the
original drawn 1,000 pixels wide in a warm child, and its words.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter
from pathlib import Path

from retrieval.places import Box, place_of
from retrieval.sandbox.pool import Ocr, Pool
from retrieval.types import ParsedDocument
from tests.retrieval.parsing.pdf.scans import scan_of

_SHORTEST = 3  # letters of a word whose place is compared


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--pages", type=int, nargs="+", default=[1], help="from 1")
    parser.add_argument("--dots", type=int, default=200, help="of the scanner, an inch")
    parser.add_argument("--languages", default="kor+eng")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    content = given.file.read_bytes()
    pool = Pool(1, ocr=Ocr(given.languages, given.workers, seconds=600))
    try:
        await pool.parse(b"warm", "a.txt")
        scanned = scan_of(content, [number - 1 for number in given.pages], dots=given.dots)
        began = time.monotonic()
        (document,) = await pool.parse(scanned, "scan.pdf")
        seconds = (time.monotonic() - began) / len(given.pages)
        print(f"{given.file.name}: {seconds:.2f} s a page, {given.dots} dots an inch, {given.languages}")
        print("| page | found | words | place p50 | p95 | view ms | words ms |\n|---:|---:|---:|---:|---:|---:|---:|")
        for at, number in enumerate(given.pages, 1):
            print(await row(pool, content, number, document, at))
    finally:
        await pool.aclose()


async def row(pool: Pool, content: bytes, number: int, document: ParsedDocument, at: int) -> str:
    """number: of the page in the original. at: in the scan."""
    began = time.monotonic()
    await pool.picture(content, "a.pdf", number, 1000)
    drawn = time.monotonic()
    layer = await pool.words(content, "a.pdf", number)
    read = time.monotonic()
    seen = recognised(document, at)
    wanted, found = pairs("".join(word.text for word in layer.words)), pairs("".join(text for text, _ in seen))
    share = (wanted & found).total() / max(1, wanted.total())
    apart = distances([(word.text, word.box) for word in layer.words], seen)
    p95 = statistics.quantiles(apart, n=20)[-1] if len(apart) > 1 else float("nan")
    middle = statistics.median(apart) if apart else float("nan")
    times = f"{1000 * (drawn - began):.0f} | {1000 * (read - drawn):.0f}"
    return f"| {number} | {share:.3f} | {len(apart)} | {middle:.1f} | {p95:.1f} | {times} |"


def recognised(document: ParsedDocument, page: int) -> list[tuple[str, Box]]:
    """Its words with their boxes."""
    found, at = [], 0
    for word in document.text.split():
        at = document.text.index(word, at)
        places = place_of(document.regions, at, at + len(word)).pages
        found += [(word, on.boxes[0]) for on in places if on.page == page and on.boxes]
        at += len(word)
    return found


def pairs(text: str) -> Counter[str]:
    plain = "".join(filter(str.isalnum, text))
    return Counter(plain[n : n + 2] for n in range(len(plain) - 1))


def distances(one: list[tuple[str, Box]], other: list[tuple[str, Box]]) -> list[float]:
    """Of the middles of words that are once in both."""
    once = [{text: box for text, box in words if sum(text == t for t, _ in words) == 1} for words in (one, other)]
    return [
        ((a.x0 + a.x1 - b.x0 - b.x1) ** 2 + (a.y0 + a.y1 - b.y0 - b.y1) ** 2) ** 0.5 / 2
        for text, a in once[0].items()
        if len(text) >= _SHORTEST and (b := once[1].get(text)) is not None
    ]


if __name__ == "__main__":
    asyncio.run(main())
