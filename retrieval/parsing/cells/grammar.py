"""The grammar of RFC 4180, for any delimiter.

Python's `csv` would read it, but for its limit on a cell: 131,072 characters, for all threads of the process at once.
`rows` reads from the text where it stands, a row at a time.
"""

import re
from collections.abc import Iterator

_CELLS = 16_384  # as many as a spreadsheet has columns


class NotCsv(Exception):
    """A quote that is not closed, or closed inside a cell."""


class TooManyCells(Exception):
    """A row has more of them than it may."""


def rows(text: str, delimiter: str, most: int = _CELLS) -> Iterator[list[str]]:
    """The cells of each row, none for an empty line. text: with `\\n` between lines. most: cells of a row.

    Raises NotCsv, TooManyCells.
    """
    reader = Reader(text, delimiter, most)
    position = 0
    while position < len(text):
        row, end = reader.row(position)
        yield row
        position = end + 1


class Reader:
    """Every method gives what it has read, and where that ends.

    A row may begin at any line, also inside one that failed: what the two share is not read again.
    """

    def __init__(self, text: str, delimiter: str, most: int = _CELLS) -> None:
        self._text = text
        self._delimiter = delimiter
        self._most = most
        self._end_of_cell = re.compile(f"[{re.escape(delimiter)}\n]")  # the nearer one: a row may be the whole text
        self._failed: set[int] = set()  # quotes that opened a cell of the last row that failed

    def row(self, position: int) -> tuple[list[str], int]:
        """Raises NotCsv, TooManyCells."""
        text, delimiter = self._text, self._delimiter
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        if text.find('"', position, end) >= 0:
            return self._quoted_row(position)
        if text.count(delimiter, position, end) >= self._most:
            raise self._too_many()
        return (text[position:end].split(delimiter) if end > position else []), end

    def _quoted_row(self, position: int) -> tuple[list[str], int]:
        row: list[str] = []
        opened: set[int] = set()
        try:
            while True:
                cell, position = self._cell(position, opened)
                row.append(cell)
                if not self._text.startswith(self._delimiter, position):
                    return row, position
                if len(row) >= self._most:
                    raise self._too_many()
                position += len(self._delimiter)
        except NotCsv:
            self._failed = opened
            raise

    def _cell(self, position: int, opened: set[int]) -> tuple[str, int]:
        text = self._text
        if not text.startswith('"', position):
            return self._bare(position)
        opened.add(position)
        closing = -1 if position in self._failed else closing_quote(text, position + 1)
        if closing < 0:
            raise NotCsv("a quote is not closed")
        after = closing + 1
        if after < len(text) and not self._end_of_cell.match(text, after):
            raise NotCsv(f"{self._delimiter!r} expected after a closing quote")
        return text[position + 1 : closing].replace('""', '"'), after

    def _bare(self, position: int) -> tuple[str, int]:
        found = self._end_of_cell.search(self._text, position)
        end = len(self._text) if found is None else found.start()
        return self._text[position:end], end

    def _too_many(self) -> TooManyCells:
        return TooManyCells(f"it has more than {self._most:,} cells")


def closing_quote(text: str, position: int) -> int:
    """The quote that ends the cell whose inside begins at `position`, or -1."""
    while (quote := text.find('"', position)) >= 0:
        if not text.startswith('"', quote + 1):
            return quote
        position = quote + 2
    return -1
