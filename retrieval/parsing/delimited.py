"""CSV and its relatives, after RFC 4180: delimiter and header detected, one row a document.

Python's `csv` would read it, but for its limit on a cell: 131,072 characters, for all threads of the process at once.
`rows` reads from the text where it stands, a row at a time.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import PurePath
from typing import Any

from retrieval.parsing.encoding import decode
from retrieval.parsing.errors import ParseError
from retrieval.parsing.limits import Limits
from retrieval.parsing.records import documents, known
from retrieval.types import ParsedDocument

_DELIMITERS = ",;\t|"
_SAMPLE = 20  # rows looked at
_CELLS = 16_384  # as many as a spreadsheet has columns
_MAX_NAME = 40  # characters of a column's name where no name is a known one
_SENTENCE = re.compile(r"[.?!。？！]\s*$")


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    text = decode(content, filename)
    found = ((number, row) for number, row in _rows(text, _delimiter(text, filename), filename, limits) if any(row))
    first = list(islice(found, _SAMPLE))
    if not first:
        return []
    names = first[0][1] if _is_header([row for _, row in first]) else None
    below = chain(first[1:] if names else first, found)
    return list(documents(((number, _record(row, names)) for number, row in below), filename, "row", limits))


def _rows(text: str, delimiter: str, filename: str, limits: Limits) -> Iterator[tuple[int, list[str]]]:
    number = 0
    try:
        for row in rows(text, delimiter, limits.cells):
            number += 1
            yield number, [cell.strip() for cell in row]
    except NotCsv as error:
        message = f"{filename}: row {number + 1} (line {error.line}) is not CSV: {error}"
        raise ParseError("too_large" if error.too_large else "invalid_file", message) from None


def _delimiter(text: str, filename: str) -> str:
    """The delimiter that cuts the first rows into the same number of cells, more than one; a comma where none does."""
    if PurePath(filename).suffix.lower() == ".tsv":
        return "\t"
    return max(_DELIMITERS, key=lambda delimiter: _regularity(text, delimiter))


def _regularity(text: str, delimiter: str) -> tuple[float, int]:
    try:
        widths = [len(row) for row in islice(rows(text, delimiter, strict=False), _SAMPLE) if row]
    except NotCsv:
        return 0.0, 0
    if not widths or widths[0] < 2:
        return 0.0, 0
    return widths.count(widths[0]) / len(widths), widths[0]


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Known names make a header. So do short, distinct, wordy names over rows that look unlike them."""
    first = rows[0]
    if any(known(cell) for cell in first):
        return True
    wordy = all(0 < len(cell) <= _MAX_NAME and not cell[0].isdigit() and not _SENTENCE.search(cell) for cell in first)
    if len(rows) < 2 or len(first) < 2 or not wordy or len(set(first)) < len(first):
        return False
    below = rows[1:]
    numeric = any(all(row[i : i + 1] and row[i][:1].isdigit() for row in below) for i in range(len(first)))
    longest = max(len(cell) for cell in first)
    return numeric or any(
        max((len(row[i]) if i < len(row) else 0) for row in below) > 3 * longest for i in range(len(first))
    )


def _record(row: Sequence[str], names: Sequence[str] | None) -> dict[str, Any]:
    """Cells by column. Without a header all are the text; cells past the header are kept under their number."""
    if names is None:
        return {"text": "\n".join(cell for cell in row if cell)}
    columns = [name or f"column {i}" for i, name in enumerate(names, start=1)]
    columns += [f"column {i}" for i in range(len(columns) + 1, len(row) + 1)]
    record: dict[str, Any] = {}
    for i, (column, cell) in enumerate(zip(columns, row, strict=False), start=1):
        record[column if column not in record else f"{column} {i}"] = cell
    return record


class NotCsv(Exception):
    """line: counted from 1. too_large: a row has more cells than it may."""

    def __init__(self, message: str, text: str, position: int, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.line = text.count("\n", 0, position) + 1
        self.too_large = too_large


def rows(text: str, delimiter: str, most: int = _CELLS, *, strict: bool = True) -> Iterator[list[str]]:
    """The cells of each row, none for an empty line. text: with `\\n` between lines. most: cells of a row.

    Raises NotCsv. Not strict: what stands behind a closing quote is part of the cell, an open quote ends with the text.
    """
    reader = _Reader(text, delimiter, most, strict)
    position = 0
    while position < len(text):
        row, end = reader.row(position)
        yield row
        position = end + 1


class _Reader:
    """Every method gives what it has read, and where that ends."""

    def __init__(self, text: str, delimiter: str, most: int, strict: bool) -> None:
        self._text = text
        self._delimiter = delimiter
        self._most = most
        self._strict = strict
        self._end_of_cell = re.compile(f"[{re.escape(delimiter)}\n]")  # the nearer one: a row may be the whole text

    def row(self, position: int) -> tuple[list[str], int]:
        text, delimiter = self._text, self._delimiter
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        if text.find('"', position, end) >= 0:
            return self._quoted_row(position)
        if text.count(delimiter, position, end) >= self._most:
            raise self._too_many(position)
        return (text[position:end].split(delimiter) if end > position else []), end

    def _quoted_row(self, position: int) -> tuple[list[str], int]:
        row: list[str] = []
        while True:
            cell, position = self._cell(position)
            row.append(cell)
            if not self._text.startswith(self._delimiter, position):
                return row, position
            if len(row) >= self._most:
                raise self._too_many(position)
            position += len(self._delimiter)

    def _cell(self, position: int) -> tuple[str, int]:
        text = self._text
        if not text.startswith('"', position):
            return self._bare(position)
        closing = _closing(text, position + 1)
        if closing < 0 and self._strict:
            raise NotCsv("a quote is not closed", text, position)
        end = len(text) if closing < 0 else closing
        cell = text[position + 1 : end].replace('""', '"')
        rest, after = self._bare(end + 1)
        if rest and self._strict:
            raise NotCsv(f"{self._delimiter!r} expected after a closing quote", text, end)
        return cell + rest, after

    def _bare(self, position: int) -> tuple[str, int]:
        found = self._end_of_cell.search(self._text, position)
        end = len(self._text) if found is None else found.start()
        return self._text[position:end], end

    def _too_many(self, position: int) -> NotCsv:
        return NotCsv(f"it has more than {self._most:,} cells", self._text, position, too_large=True)


def _closing(text: str, position: int) -> int:
    """The quote that ends the cell whose inside begins at `position`, or -1."""
    while (quote := text.find('"', position)) >= 0:
        if not text.startswith('"', quote + 1):
            return quote
        position = quote + 2
    return -1
