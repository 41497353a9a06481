"""Lines in reading order to what they are: headings, paragraphs, list items, captions, footnotes, tables."""

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from models.base import BlockKind
from retrieval.parsing.base.building import HERE, Builder, Row
from retrieval.parsing.pdf.glyphs import Run
from retrieval.parsing.pdf.joining import Words, joined
from retrieval.parsing.pdf.layout import Column
from retrieval.parsing.pdf.lines import after, hull, region, width
from retrieval.parsing.pdf.tables import Table
from retrieval.places import Region

_ITEM = re.compile(
    r"(?:[•◦▪▫‣⁃·∙●○■□◆◇▶►※\-–—*✓➢\uf0b7\uf0a7]\s+\S|(?:\(?\d{1,3}[.)]|\(?[a-zA-Z가-하][.)]|[①-⑳㉠-㉭])\s+\S)"
)
_CAPTION = re.compile(r"(?:Figure|Fig\.|Table|그림|표|사진)\s*[\dIVX]+(?:[.\-]\d+)*\s*[.:)\]]?\s", re.IGNORECASE)
_NOTE = re.compile(r"(?:\d{1,3}|[*†‡§¹²³⁴⁵⁶⁷⁸⁹]{1,3})[).]?\s*\S")
_CONTENTS = re.compile(r"\.\.\. ?\d+$")  # a line of the table of contents
_LABEL = re.compile(r"[:：]$")  # a form's: what follows it is its value
_ENDS = re.compile(r"[.?!。:;]['\"”’)\]]*$")
_LARGER = 1.12  # than the text: a heading
_SMALLER = 0.9  # than the text: a note, where it stands low on the page
_LOW = 0.6  # of the page's height
_LEADING = 1.45  # of the usual: a new paragraph
_ALIKE = 0.08  # of the size: the same type
_HEADING_LINES = 3
_HEADING_WIDTH = 160
_LEVELS = 5


@dataclass(slots=True)
class Styles:
    """What the document's types mean, from all of its lines."""

    body: float = 10.0
    larger: list[float] = field(default_factory=list)
    outline: Mapping[int, Mapping[str, int]] = field(default_factory=dict)

    def level(self, lines: Sequence[Run], page: int, right: float) -> int:
        """Of a heading; 0: it is none. right: of the column."""
        text = " ".join(line.text for line in lines)
        if level := self.outline.get(page, {}).get(folded(text), 0):
            return level
        if len(lines) > _HEADING_LINES or width(text) > _HEADING_WIDTH or not any(map(str.isalpha, text)):
            return 0
        size = max(line.size for line in lines)
        if size >= _LARGER * self.body:
            return 1 + next((n for n, known in enumerate(self.larger) if size >= known - 0.3), len(self.larger))
        alone = len(lines) == 1 and not _ENDS.search(text) and lines[0].box.x1 < right - 2 * size
        bold = all(line.bold for line in lines) and size >= 0.95 * self.body and alone
        return min(len(self.larger), _LEVELS) + 1 if bold else 0


def folded(text: str) -> str:
    """For comparing with the outline."""
    return "".join(text.split()).casefold()


def styles(runs: Iterator[Run], outline: Mapping[int, Mapping[str, int]]) -> Styles:
    sizes: Counter[float] = Counter()
    for run in runs:
        sizes[round(2 * run.size) / 2] += len(run.text)
    body = max(sizes, key=lambda size: sizes[size], default=10.0)
    larger = sorted((size for size in sizes if size >= _LARGER * body), reverse=True)
    return Styles(body, larger[:_LEVELS], outline)


class Writer:
    """Pages to a builder, one after the other."""

    def __init__(self, builder: Builder, styles: Styles, words: Words) -> None:
        self._builder = builder
        self._styles = styles
        self._words = words
        self._lead = ""

    def write(self, parts: Sequence[Column | Table], page: int, height: float) -> None:
        for part in parts:
            if isinstance(part, Table):
                self._table(part, page)
                continue
            rights: dict[int, float] = {}
            for line in part.lines:
                rights[round(line.box.x0)] = max(line.box.x1, rights.get(round(line.box.x0), 0.0))
            for lines in paragraphs(part):
                self._paragraph(lines, page, rights[round(lines[-1].box.x0)], height)

    def _paragraph(self, lines: list[Run], page: int, right: float, height: float) -> None:
        placed = joined(lines, page, right, self._words)
        text = lines[0].text
        if (_ITEM.match(text) or _CONTENTS.search(lines[-1].text)) and not self._styles.outline.get(page, {}).get(
            folded(text)
        ):
            self._builder.lines(placed, "item", "", self._lead)
            return
        if level := self._styles.level(lines, page, right):
            self._builder.heading_lines(level, placed)
            self._lead = ""
            return
        self._builder.lines(placed, self._kind(lines, height), "")
        whole = "".join(part for part, _ in placed)
        self._lead = whole if len(whole) < 300 else ""

    def _kind(self, lines: list[Run], height: float) -> BlockKind:
        text = lines[0].text
        if _CAPTION.match(text) and len(lines) <= 4:
            return "caption"
        small = lines[0].size <= _SMALLER * self._styles.body and lines[0].box.y0 > _LOW * height
        told = sum(map(str.isalpha, text)) > len(text) / 2  # a table's row is none
        return "footnote" if small and told and _NOTE.match(text) else "prose"

    def _table(self, table: Table, page: int) -> None:
        rows = [[self._cell(cell, page) for cell in row] for row in table.rows]
        texts = [["".join(text for text, _ in cell) for cell in row] for row in rows]
        named = len(rows) > 1 and all(texts[0]) and not any(map(_numeric, texts[0]))
        named = named and not any(map(_LABEL.search, texts[0]))
        named = named and (_bold(table.rows[0]) > _bold(table.rows[1]) or any(map(_numeric, texts[1])))
        self._builder.table([_row(cells, page) for cells in rows], named=named)

    def _cell(self, cell: Sequence[Run], page: int) -> list[tuple[str, Region]]:
        return joined(cell, page, max(line.box.x1 for line in cell), self._words) if cell else []


def _numeric(text: str) -> bool:
    return any(map(str.isdigit, text))


def _bold(row: Sequence[Sequence[Run]]) -> bool:
    return all(line.bold for cell in row for line in cell)


def _row(cells: Sequence[Sequence[tuple[str, Region]]], page: int) -> Row:
    """With a region of its own for each line of each cell, where there are several; else one, with each cell's edges
    where the builder's row is these cells as they are.
    """
    texts = ["".join(text for text, _ in cell) for cell in cells]
    boxes = [region.box for cell in cells for _, region in cell if region.box]
    whole = region(Run(box=hull(boxes)), page)
    if any("|" in text or text != " ".join(text.split()) for text in texts):
        return Row(texts, whole)
    while cells and not cells[-1]:
        cells = cells[:-1]
    parts = [part for number, cell in enumerate(cells) for part in ([(" | ", HERE)] if number else []) + list(cell)]
    if any(len(cell) > 1 for cell in cells):
        return Row(texts, whole, parts)
    edges: list[float] = []
    first = boxes[0]
    for text, place in parts:
        own = array("f", place.edges)
        edges += own or (after(edges) if edges else [first.x0, first.y0, first.x0, first.y1]) * len(text)
    return Row(texts, region(Run(box=hull(boxes)), page, edges))


def paragraphs(column: Column) -> Iterator[list[Run]]:
    """Lines of one type that follow each other at the usual distance."""
    usual = _usual_leading(column.lines)
    lines: list[Run] = []
    for line in column.lines:
        if lines and _begins(lines, line, usual, column):
            yield lines
            lines = []
        lines.append(line)
    if lines:
        yield lines


def _usual_leading(lines: Sequence[Run]) -> float:
    """From one line's middle to the next one's, in sizes of their type."""
    steps = [
        (below.middle - above.middle) / max(1.0, below.size)
        for above, below in pairwise(lines)
        if abs(above.size - below.size) < _ALIKE * below.size and 0 < below.middle - above.middle < 3 * below.size
    ]
    return sorted(steps)[len(steps) // 2] if steps else 1.3


def _begins(lines: list[Run], line: Run, usual: float, column: Column) -> bool:
    last = lines[-1]
    step = line.middle - last.middle
    if step <= 0 or step > _LEADING * min(usual, 2.0) * max(line.size, last.size):
        return True
    if abs(line.size - last.size) > _ALIKE * line.size and min(len(line.text), len(last.text)) > 3:
        return True
    if line.bold != last.bold and min(len(line.text), len(last.text)) > 3:
        return True
    if _ITEM.match(line.text) or _CONTENTS.search(last.text):
        return True
    short = column.right - last.box.x1 > 0.15 * (column.right - column.left)
    indented = line.box.x0 - last.box.x0 > 0.8 * line.size and not _ITEM.match(lines[0].text)
    outdented = last.box.x0 - line.box.x0 > 0.8 * line.size and len(lines) > 1
    return (short and bool(_ENDS.search(last.text))) or indented or outdented
