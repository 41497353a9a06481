"""Rows of a table as people's programs write them: where a quote is astray, its line is read as plain text.

A quote that is never closed, or closed by another stray one lines further down, would swallow the rows between them.
So a row over several lines is believed only while its lines are not rows themselves: of as many cells as the table has.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from retrieval.parsing.cells.grammar import NotCsv, Reader, TooManyCells, closing_quote

_FEW = 5  # of so many lines one may be no row
# A line of prose may well have one comma. Where rows are not alike, such a row is believed that is short, or no longer
# than another one beyond doubt.
_IN_PROSE = ",;"
_BREAKS = 2
_DIGITS = re.compile(r"\d+")


class Row(NamedTuple):
    """line: where it begins, counted from 1. broken: a quote was astray, and its line is read as plain text."""

    line: int
    cells: list[str]
    broken: bool = False


class Table:
    """text: with `\\n` between lines. most: cells of a row."""

    def __init__(self, text: str, delimiter: str, most: int) -> None:
        self._text = text
        self._delimiter = delimiter
        self._most = most
        self._reader = Reader(text, delimiter, most)
        self._ends_cell = re.compile(f'"(?={re.escape(delimiter)}|\\Z)')
        self._width = 0  # cells of the first row
        self._longest: int | None = None

    def rows(self, start: int = 0) -> Iterator[Row]:
        """In order, those of empty lines too, which have no cells; in linear time. start: of the first row.

        Raises TooManyCells.
        """
        position, line, plain_until = start, self._text.count("\n", 0, start) + 1, 0
        while position < len(self._text):
            end = self._line_end(position)
            quoted = None
            if position >= plain_until and (quoted := self._quoted(position)) and self._swallows(position, *quoted):
                plain_until, quoted = quoted[1], None  # its lines are rows, all of them
            if quoted:
                cells, broken, end = quoted[0], False, quoted[1]
            else:
                cells, broken = self._line(self._text[position:end])
            self._width = self._width or len(cells)
            yield Row(line, cells, broken)
            line += self._text.count("\n", position, end) + 1
            position = end + 1

    def _line_end(self, position: int) -> int:
        end = self._text.find("\n", position)
        return len(self._text) if end < 0 else end

    def _quoted(self, position: int) -> tuple[list[str], int] | None:
        """The row by the grammar, and its end; None where it breaks a rule."""
        try:
            return self._reader.row(position)
        except NotCsv:
            return None

    def _swallows(self, position: int, cells: list[str], end: int) -> bool:
        """Whether the row has taken in other rows."""
        rows = self._rows_inside(position, cells, end)
        if not rows:
            return False
        if self._delimiter not in _IN_PROSE or len(rows[0]) != len(cells) or _are_alike(rows):
            return True
        if self._longest is None:
            self._longest = self._longest_beyond_doubt()
        breaks = self._text.count("\n", position, end)
        return breaks >= _BREAKS and breaks > self._longest

    def _rows_inside(self, position: int, cells: list[str], end: int) -> list[list[str]]:
        """The lines of a row as rows, where most of them have as many cells as the table; else none."""
        width = self._width or len(cells)
        if width < 2 or self._text.find("\n", position, end) < 0:
            return []
        lines = self._text[position:end].split("\n")
        misses, rows = len(lines) // _FEW, []
        for line in lines:
            row = self._line(line)[0]
            if len(row) == width:
                rows.append(row)
            elif (misses := misses - 1) < 0:
                return []
        return rows

    def _longest_beyond_doubt(self) -> int:
        """Line breaks in the longest row of the whole table that nobody doubts."""
        longest = position = 0
        while (quote := self._text.find('"', position)) >= 0:
            start = max(position, self._text.rfind("\n", position, quote) + 1)
            quoted = self._quoted(start)
            if quoted and len(quoted[0]) == self._width and not self._rows_inside(start, *quoted):
                longest = max(longest, self._text.count("\n", start, quoted[1]))
            position = (quoted[1] if quoted else self._line_end(start)) + 1
        return longest

    def _line(self, line: str) -> tuple[list[str], bool]:
        """Cells of one line alone, and whether it breaks a rule: then in the reading that gives a row of the table."""
        try:
            return (Reader(line, self._delimiter, self._most).row(0)[0] if line else []), False
        except NotCsv:
            pass
        if line.count(self._delimiter) >= self._most:
            raise TooManyCells(f"it has more than {self._most:,} cells")
        readings = [self._forgiving(line, inner=True), self._forgiving(line, inner=False), line.split(self._delimiter)]
        return next((cells for cells in readings if len(cells) == self._width), readings[1]), True

    def _forgiving(self, line: str, *, inner: bool) -> list[str]:
        """inner: quotes inside a quoted cell are part of it, up to one that a cell can end with."""
        cells: list[str] = []
        position = 0
        while True:
            cell, position, inner = self._forgiven(line, position, inner)
            cells.append(cell)
            if position >= len(line):
                return cells
            position += len(self._delimiter)

    def _forgiven(self, line: str, position: int, inner: bool) -> tuple[str, int, bool]:
        """The cell, its end, and whether quotes that a cell can end with are left."""
        if line.startswith('"', position):
            end = closing_quote(line, position + 1)
            if end < 0 or not self._ends_cell.match(line, end):
                found = self._ends_cell.search(line, position + 1) if inner else None
                end, inner = (found.start(), True) if found else (-1, False)
            if end >= 0:
                return line[position + 1 : end].replace('""', '"'), end + 1, inner
        end = line.find(self._delimiter, position)
        end = len(line) if end < 0 else end
        return line[position:end], end, inner


def _are_alike(rows: Sequence[Sequence[str]]) -> bool:
    """Whether their first cells differ by their digits alone, or all of them ask."""
    first = [row[0].strip(' "') for row in rows]
    kinds = {_DIGITS.sub("0", cell) for cell in first}
    return (len(kinds) == 1 and "0" in kinds.pop()) or all(cell.endswith(("?", "？")) for cell in first)
