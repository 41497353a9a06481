"""What tesseract saw on a page, as lines of text.

It runs outside (retrieval.sandbox.tesseract), as a child that reads hostile files may start no process: the parser
hands out pictures of its pages and goes on with the words that come back.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from retrieval.characters import one_line
from retrieval.parsing.base.encoding import clean
from retrieval.parsing.pdf.glyphs import Run
from retrieval.parsing.pdf.lines import hull
from retrieval.places import Box

_CONFIDENT = 30.0  # of 100: below it a word is dirt
_KOREAN_GAP = 0.32  # of a word's height: less between two Korean words is within one


@dataclass(frozen=True, slots=True)
class _Word:
    line: tuple[str, str, str]
    text: str
    box: Box


def lines(tsv: str, scale: float) -> list[Run]:
    """Of tesseract's TSV. scale: points of a pixel."""
    words = [
        word
        for row in csv.DictReader(io.StringIO(tsv), delimiter="\t", quoting=csv.QUOTE_NONE)
        if (word := _word(row, scale))
    ]
    found: list[Run] = []
    for _, paragraph in groupby(words, key=lambda word: word.line[:2]):
        members = list(paragraph)
        size = median(word.box.y1 - word.box.y0 for word in members)
        found += [_line(list(line), size) for _, line in groupby(members, key=lambda word: word.line)]
    return found


def _word(row: dict[str, str | None], scale: float) -> _Word | None:
    text = one_line(clean(row.get("text") or ""))
    try:
        left, top, width, height, confidence = (
            float(row[name] or 0) for name in ("left", "top", "width", "height", "conf")
        )
    except (KeyError, ValueError):
        return None
    if row.get("level") != "5" or not text or confidence < _CONFIDENT:
        return None
    box = Box(left * scale, top * scale, (left + width) * scale, (top + height) * scale)
    return _Word((row["block_num"] or "", row["par_num"] or "", row["line_num"] or ""), text, box)


def _line(words: Sequence[_Word], size: float) -> Run:
    text, edges = "", list[float]()
    for number, word in enumerate(words):
        if number and not _one_word(words[number - 1], word):
            last = words[number - 1].box
            text += " "
            edges += [last.x1, last.y0, max(last.x1, word.box.x0), last.y1]
        step = (word.box.x1 - word.box.x0) / len(word.text)
        for at in range(len(word.text)):
            edges += [word.box.x0 + at * step, word.box.y0, word.box.x0 + (at + 1) * step, word.box.y1]
        text += word.text
    return Run(text, edges, hull([word.box for word in words]), size)


def _one_word(before: _Word, word: _Word) -> bool:
    """Whether the space between two Korean words is tesseract's own."""
    korean = "가" <= before.text[-1] <= "힣" and "가" <= word.text[0] <= "힣"
    height = max(before.box.y1 - before.box.y0, word.box.y1 - word.box.y0)
    return korean and word.box.x0 - before.box.x1 < _KOREAN_GAP * height
