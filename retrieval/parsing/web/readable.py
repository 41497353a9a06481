"""Readable text as it grows out of markup: white space collapsed, breaks and list marks held back until needed.

And what the markup says of the text's parts: headings, code, and table rows with their names.
"""

import re
from dataclasses import dataclass

from models.base import Block
from retrieval.parsing.base.limits import Budget
from retrieval.parsing.base.sections import sections

_SPACES = re.compile(r"\s+")
_MAX_HEADING = 300
_MAX_MARK = 120  # characters: forty empty cells
_MAX_CONTEXT = 2000  # characters of a table's names, which every row carries


class ReadableText:
    """`headings` holds (character offset, level, name) of each heading closed so far, ascending. budget: characters."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.headings: list[tuple[int, int, str]] = []
        self._parts: list[str] = []
        self._length = 0
        self._newlines = 0
        self._space = False
        self._mark = ""
        self._heading: tuple[int, int, int] | None = None  # level, offset (-1: nothing yet), index of its first part
        self._begun: int | None = None  # offset of the stretch that is open; -1: nothing of it yet

    def text(self) -> str:
        return "".join(self._parts)

    def break_line(self, newlines: int) -> None:
        self._newlines = max(self._newlines, newlines)

    def mark(self, mark: str, *, after: bool = False) -> None:
        """To stand before the next text: a bullet, or a cell's border after the marks of empty cells."""
        self._mark = (self._mark + mark)[:_MAX_MARK] if after else mark

    def add(self, text: str) -> None:
        shown = _SPACES.sub(" ", text)
        if not shown.strip():
            self._space = self._space or bool(shown)
            return
        self._before(spaced=self._space or shown[0] == " ")
        self._append(shown.strip())
        self._space = shown[-1] == " "

    def add_verbatim(self, text: str) -> None:
        if not text.strip():
            self._newlines = max(self._newlines, min(text.count("\n"), 2))
            return
        self._before(spaced=False)
        self._append(text)
        self._space = False

    def begin(self) -> None:
        """A stretch, with the mark before its first text."""
        self._begun = -1

    def end(self) -> tuple[int, int] | None:
        """Where the stretch that was begun stands; None where none was, or it holds no text."""
        begun, self._begun = self._begun, None
        return None if begun is None or begun < 0 else (begun, self._length)

    def open_heading(self, level: int) -> None:
        self.close_heading()
        self.break_line(2)
        self._heading = (level, -1, 0)

    def close_heading(self) -> None:
        if self._heading and self._heading[1] >= 0:
            level, offset, part = self._heading
            self.headings.append((offset, level, "".join(self._parts[part:])[:_MAX_HEADING]))
            self.break_line(2)
        self._heading = None

    def _before(self, *, spaced: bool) -> None:
        if self._newlines:
            self._append("\n" * self._newlines if self._parts else "")
        elif spaced and self._parts and not self._mark:
            self._append(" ")
        if self._begun == -1:
            self._begun = self._length
        self._append(self._mark)
        self._newlines, self._mark = 0, ""
        if self._heading and self._heading[1] < 0:
            self._heading = (self._heading[0], self._length, len(self._parts))

    def _append(self, text: str) -> None:
        if text:
            self._budget.take(len(text))
            self._parts.append(text)
            self._length += len(text)


@dataclass(slots=True)
class _Row:
    """named: all of its cells are headings of columns."""

    start: int
    end: int
    named: bool


class Structure:
    """Rows and code never hold each other: a row that holds code lays out a page, it is no data."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int]] = []
        self._tables: list[list[_Row]] = [[]]
        self._cells: list[bool] | None = None  # of the open row
        self._in_code = False

    def begin_row(self, text: ReadableText) -> None:
        text.begin()
        self._cells = []

    def cell(self, *, named: bool) -> None:
        if self._cells is not None:
            self._cells.append(named)

    def end_row(self, text: ReadableText) -> None:
        if self._cells is None:
            return
        cells, self._cells = self._cells, None
        if (place := text.end()) and cells:
            self._tables[-1].append(_Row(*place, named=all(cells)))

    def end_table(self) -> None:
        if self._tables[-1]:
            self._tables.append([])

    def begin_code(self, text: ReadableText) -> None:
        self._in_code = True
        text.begin()

    def end_code(self, text: ReadableText) -> None:
        if self._in_code and (place := text.end()):
            self._code.append(place)
        self._in_code = False

    def close(self, text: ReadableText) -> None:
        """At the end of the page, where a row or code may be open still."""
        self.end_row(text)
        self.end_code(text)

    def blocks(self, text: ReadableText) -> tuple[Block, ...]:
        """Ascending, apart from each other."""
        whole = text.text()
        found = [Block("code", *place) for place in self._code]
        for table in self._tables:
            found += _rows(whole, table)
        taken = {block.start for block in found}
        for (start, _, name), section in zip(text.headings, sections(text.headings), strict=True):
            end = start + len(name)
            if name.strip() and start not in taken and whole[start:end] == name:
                found.append(Block("heading", start, end, " > ".join(section.headings[:-1])))
        found.sort(key=lambda block: block.start)
        return tuple(b for a, b in zip([Block("prose", 0, 0), *found], found, strict=False) if b.start >= a.end)


def _rows(text: str, table: list[_Row]) -> list[Block]:
    """The first row is the header where its cells are named so or, as in plain text, where it alone has no digit."""
    if not table:
        return []
    first = text[table[0].start : table[0].end]
    plain = len(table) > 1 and " | " in first and not re.search(r"\d", first)
    named = len(first) <= _MAX_CONTEXT and ((table[0].named and len(table) > 1) or plain)
    rows = [Block("row", row.start, row.end, first if named else "") for row in table[1 if named else 0 :]]
    return [Block("header", table[0].start, table[0].end), *rows] if named else rows
