"""Any sentence's boxes are where PDFium itself draws it."""

import ctypes
import random
import re
from collections.abc import Iterator
from itertools import pairwise

import pypdfium2
from pypdfium2 import raw

from retrieval.parsing.base.limits import Limits
from retrieval.parsing.pdf import parser
from retrieval.places import Box, place_of
from tests.retrieval.parsing.pdf.files import OK, REAL, pdf, said

SAMPLES = 200
SENTENCE = re.compile(r"[^.!?\n]{12,200}[.!?]")


def area(boxes: list[Box]) -> float:
    """Of their union: by the stripes between their edges."""
    lines = sorted({y for box in boxes for y in (box.y0, box.y1)})
    total = 0.0
    for low, high in pairwise(lines):
        right = float("-inf")
        for x0, x1 in sorted((box.x0, box.x1) for box in boxes if box.y0 <= low and box.y1 >= high):
            total += max(0.0, x1 - max(x0, right)) * (high - low)
            right = max(right, x1)
    return total


def overlap(one: list[Box], other: list[Box]) -> float:
    """Intersection over union of two sets of boxes."""
    both = area(one + other)
    return (area(one) + area(other) - both) / both if both else 0.0


def by_line(boxes: list[Box]) -> list[Box]:
    """PDFium's rectangles, one a piece of a line, as lines."""
    lines: list[Box] = []
    for box in boxes:
        last = lines[-1] if lines else None
        if last and min(last.y1, box.y1) - max(last.y0, box.y0) > 0.5 * min(last.y1 - last.y0, box.y1 - box.y0):
            lines[-1] = Box(min(last.x0, box.x0), min(last.y0, box.y0), max(last.x1, box.x1), max(last.y1, box.y1))
        else:
            lines.append(box)
    return lines


def drawn(page: pypdfium2.PdfPage, sentence: str) -> list[Box]:
    """PDFium's rectangles of a text that it finds once; none where it doesn't, white space apart."""
    textpage = page.get_textpage()
    count = raw.FPDFText_CountChars(textpage.raw)
    letters = [(chr(raw.FPDFText_GetUnicode(textpage.raw, i)), i) for i in range(count)]
    solid = [(letter, i) for letter, i in letters if letter.strip() and letter not in "\0\2\ufffe"]
    whole, wanted = "".join(letter for letter, _ in solid), "".join(sentence.split())
    at = whole.find(wanted)
    if at < 0 or whole.find(wanted, at + 1) >= 0:
        return []
    first, last = solid[at][1], solid[at + len(wanted) - 1][1]
    found = []
    height = page.get_size()[1]
    for number in range(raw.FPDFText_CountRects(textpage.raw, first, last - first + 1)):
        left, top, right, bottom = (ctypes.c_double() for _ in range(4))
        raw.FPDFText_GetRect(textpage.raw, number, *map(ctypes.byref, (left, top, right, bottom)))
        found.append(Box(left.value, height - top.value, right.value, height - bottom.value))
    return by_line(found)


def sampled() -> Iterator[tuple[str, float]]:
    random.seed(7)
    for path in sorted(OK.glob("*.pdf")):
        if "scan" in path.name:
            continue
        document = parser.parse(path.read_bytes(), path.name, Limits())[0]
        opened = pypdfium2.PdfDocument(path)
        sentences = list(SENTENCE.finditer(document.text))
        for found in random.sample(sentences, min(SAMPLES, len(sentences))):
            lead = len(found.group()) - len(found.group().lstrip())
            pages = place_of(document.regions, found.start() + lead, found.end()).pages
            if len(pages) == 1 and (theirs := drawn(opened[pages[0].page - 1], found.group())):
                yield f"{path.name}: {found.group()}", overlap(list(pages[0].boxes), theirs)


@REAL
def test_sentences_of_real_files() -> None:
    found = list(sampled())
    assert len(found) >= SAMPLES
    poor = [(score, sentence) for sentence, score in found if score < 0.9]
    print(len(found), "sentences,", len(poor), "under .9; lowest", sorted(poor)[:8])
    assert len(poor) <= 0.02 * len(found), sorted(poor)[:8]


def test_a_turned_and_cut_page_has_its_boxes_as_it_is_shown() -> None:
    content = said(100, 200, "Hello")
    upright = place_of(parser.parse(pdf(content), "a.pdf", Limits())[0].regions, 0, 5).pages[0].boxes[0]
    assert 99 < upright.x0 < 102
    assert 591 < upright.y0 < 594
    assert 599 < upright.y1 < 601
    cut = parser.parse(pdf(content, page="/MediaBox [0 0 600 800] /CropBox [50 100 400 700]"), "a.pdf", Limits())[0]
    box = place_of(cut.regions, 0, 5).pages[0].boxes[0]
    assert abs(box.x0 - (upright.x0 - 50)) < 0.2
    assert abs(box.y1 - (upright.y1 - 100)) < 0.2
    turned = parser.parse(pdf(content, page="/Rotate 180"), "a.pdf", Limits())[0]
    box = place_of(turned.regions, 0, 5).pages[0].boxes[0]
    assert abs(box.x1 - (600 - upright.x0)) < 0.2
    assert abs(box.y0 - (800 - upright.y1)) < 0.2
