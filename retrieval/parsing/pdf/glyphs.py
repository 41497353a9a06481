"""The characters of a page as runs: text on one line without a wide gap, each character with its edges.

All lengths are points from the top left corner of the page as it is shown (its rotation and crop box applied).
"""

import ctypes
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pypdfium2
from pypdfium2 import raw

from retrieval.parsing.base.encoding import clean
from retrieval.parsing.base.limits import Budget
from retrieval.places import Box

_GAP = 0.9  # of the type's size: two runs are apart
_HYPHENS = (0x02, 0xFFFE)  # what PDFium says for a hyphen that a line's end made
_BOLD = ("bold", "black", "heavy", "demi")
_FORCE_BOLD = 1 << 18
_HEAVY = 600

Edges = tuple[float, float, float, float]  # as of Box, which costs more to make than a character may
Turn = Callable[[float, float, float, float], Edges]
_NOWHERE = Box(0, 0, 0, 0)


@dataclass(slots=True)
class Run:
    """text: clean. edges: each character's box, four numbers. size: of the type. spaced: white space follows it."""

    text: str = ""
    edges: list[float] = field(default_factory=list)
    box: Box = _NOWHERE
    size: float = 0.0
    bold: bool = False
    spaced: bool = False

    @property
    def middle(self) -> float:
        return (self.box.y0 + self.box.y1) / 2


def turn(page: pypdfium2.PdfPage) -> tuple[Turn, float, float]:
    """From PDFium's (left, bottom, right, top) to the page as it is shown; its width and height."""
    left, bottom, right, top = page.get_bbox()
    rotation = page.get_rotation()
    width, height = right - left, top - bottom
    if rotation == 90:
        return (lambda x0, y0, x1, y1: (y0 - bottom, x0 - left, y1 - bottom, x1 - left)), height, width
    if rotation == 180:
        return (lambda x0, y0, x1, y1: (right - x1, y0 - bottom, right - x0, y1 - bottom)), width, height
    if rotation == 270:
        return (lambda x0, y0, x1, y1: (top - y1, right - x1, top - y0, right - x0)), height, width
    return (lambda x0, y0, x1, y1: (x0 - left, top - y1, x1 - left, top - y0)), width, height


def runs(page: pypdfium2.PdfPage, budget: Budget) -> list[Run]:
    """In the order in which the file draws them; nothing that lies off the page. Raises ParseError too_large."""
    placed, width, height = turn(page)
    textpage = page.get_textpage()
    try:
        count = max(0, raw.FPDFText_CountChars(textpage.raw))
        budget.take(count)
        found = [_finished(*each) for each in _split(textpage.raw, count, placed)]
    finally:
        textpage.close()
    return [
        run
        for run in found
        if run.text and run.box.x1 > 0 and run.box.x0 < width and run.box.y1 > 0 and run.box.y0 < height
    ]


def _split(
    textpage: raw.FPDF_TEXTPAGE, count: int, placed: Turn
) -> Iterator[tuple[list[str], list[Edges], float, bool, bool]]:
    """(characters, their boxes, type size, bold, white space follows) of each run."""
    doubles = [ctypes.c_double() for _ in range(4)]
    left, right, bottom, top = doubles
    pointers = [ctypes.byref(value) for value in doubles]
    unicode, char_box = raw.FPDFText_GetUnicode, raw.FPDFText_GetCharBox
    style = _Style(textpage)
    characters: list[str] = []
    boxes: list[Edges] = []
    size, bold, blank, last = 0.0, True, False, (0.0, 0.0, 0.0, 0.0)
    for index in range(count):
        code = unicode(textpage, index)
        if code in (13, 10):
            if characters:
                yield characters, boxes, size, bold, blank
            characters, boxes, blank = [], [], False
            continue
        if code in (0, 32, 160, 9, 0x3000):
            blank = blank or code != 0
            continue
        char_box(textpage, index, *pointers)
        box = placed(left.value, bottom.value, right.value, top.value)
        if characters and _apart(last, box, size):
            yield characters, boxes, size, bold, blank
            characters, boxes, blank = [], [], False
        if not characters:
            size, bold = style.of(index)
        elif blank:
            characters.append(" ")
            boxes.append((last[2], last[1], max(last[2], box[0]), last[3]))
        characters.append("-" if code in _HYPHENS else chr(code) if code < 0x110000 else "\ufffd")
        boxes.append(box)
        if blank and bold:
            bold = style.of(index)[1]
        last, blank = box, False
    if characters:
        yield characters, boxes, size, bold, blank


def _apart(last: Edges, box: Edges, size: float) -> bool:
    """Whether two characters that follow each other are of two runs: a wide gap, a step back, another line."""
    size = size if size > 1.0 else 1.0
    reach = 0.6 * size
    middle = (box[1] + box[3]) / 2
    return box[0] - last[2] > _GAP * size or box[2] < last[0] - reach or not last[1] - reach < middle < last[3] + reach


class _Style:
    """Type size and weight, asked once a word."""

    def __init__(self, textpage: raw.FPDF_TEXTPAGE) -> None:
        self._textpage = textpage
        self._matrix = raw.FS_MATRIX()
        self._name = ctypes.create_string_buffer(128)
        self._flags = ctypes.c_int()

    def of(self, index: int) -> tuple[float, bool]:
        size = raw.FPDFText_GetFontSize(self._textpage, index)
        if raw.FPDFText_GetMatrix(self._textpage, index, self._matrix):
            size *= (self._matrix.c**2 + self._matrix.d**2) ** 0.5
        raw.FPDFText_GetFontInfo(self._textpage, index, self._name, 128, ctypes.byref(self._flags))
        name = self._name.value.lower().decode("latin-1")
        heavy = any(word in name for word in _BOLD) or bool(self._flags.value & _FORCE_BOLD)
        return abs(size), heavy or raw.FPDFText_GetFontWeight(self._textpage, index) >= _HEAVY


def _finished(characters: list[str], boxes: list[Edges], size: float, bold: bool, spaced: bool) -> Run:
    text, edges = _cleaned(characters, boxes)
    solid = [box for box in boxes if box[2] > box[0] and box[3] > box[1]] or boxes
    x0, y0, x1, y1 = zip(*solid, strict=True)
    box = Box(min(x0), min(y0), max(x1), max(y1))
    return Run(text, edges, box, size or box.y1 - box.y0, bold, spaced)


def _cleaned(characters: list[str], boxes: list[Edges]) -> tuple[str, list[float]]:
    """As `clean` has it, each character of the outcome with the edges of those that it came of."""
    text = "".join(characters)
    done = clean(text)
    if len(done) == len(text) and len(text) == len(characters):
        return done.replace("\n", " "), [edge for box in boxes for edge in box]
    parts: list[str] = []
    edges: list[float] = []
    at = 0
    while at < len(characters):
        end = at + 1
        while end < len(characters) and _joins(characters[end]):
            end += 1
        part = clean("".join(characters[at:end])).replace("\n", " ")
        parts.append(part)
        x0, y0, x1, y1 = zip(*boxes[at:end], strict=True)
        edges += [min(x0), min(y0), max(x1), max(y1)] * len(part)
        at = end
    return "".join(parts), edges


def _joins(character: str) -> bool:
    """A letter's second part: a combining mark, a vowel or an end of Korean that is spelled out."""
    return unicodedata.combining(character) != 0 or "\u1160" <= character <= "\u11ff"
