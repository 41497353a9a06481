"""CSV and its relatives: delimiter and header detected, one row a document."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from retrieval.parsing.encoding import decode
from retrieval.parsing.errors import ParseError
from retrieval.parsing.records import documents, known
from retrieval.types import ParsedDocument

_DELIMITERS = ",;\t|"
_SAMPLE = 20  # rows looked at
_MAX_NAME = 40  # characters of a column's name where no name is a known one
_SENTENCE = re.compile(r"[.?!。？！]\s*$")


def parse(content: bytes, filename: str) -> list[ParsedDocument]:
    text = decode(content, filename)
    rows = [(number, row) for number, row in _rows(text, _delimiter(text, filename), filename) if any(row)]
    if not rows:
        return []
    names = rows[0][1] if _is_header([row for _, row in rows[:_SAMPLE]]) else None
    records = ((number, _record(row, names)) for number, row in (rows[1:] if names else rows))
    return list(documents(records, filename, "row"))


def _rows(text: str, delimiter: str, filename: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for row in reader:
            number += 1
            yield number, [cell.strip() for cell in row]
    except csv.Error as error:
        message = f"{filename}: row {number + 1} (line {reader.line_num}) is not CSV: {error}"
        raise ParseError("invalid_file", message) from None


def _delimiter(text: str, filename: str) -> str:
    """The delimiter that cuts the first rows into the same number of cells, more than one; a comma where none does."""
    if PurePath(filename).suffix.lower() == ".tsv":
        return "\t"
    return max(_DELIMITERS, key=lambda delimiter: _regularity(text, delimiter))


def _regularity(text: str, delimiter: str) -> tuple[float, int]:
    widths: list[int] = []
    try:
        for _, row in zip(range(_SAMPLE), csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), strict=False):
            widths.extend([len(row)] if row else [])
    except csv.Error:
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
