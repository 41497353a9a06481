"""CSV and its relatives: delimiter and header detected, one row a document (retrieval/parsing/cells)."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

from retrieval.columns import Columns, role
from retrieval.parsing.base.encoding import decode
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.records import Record, documents
from retrieval.parsing.cells.delimiter import delimiter
from retrieval.parsing.cells.grammar import TooManyCells
from retrieval.parsing.cells.table import Row, Table
from retrieval.types import ParsedDocument

_SAMPLE = 20  # rows looked at
_MAX_NAME = 40  # characters of a column's name where no name is a known one
_SENTENCE = re.compile(r"[.?!。？！]\s*$")


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """Rows that are not as they should be are read all the same, each with a warning."""
    found = ((number, row) for number, row in _rows(decode(content, lines=False), limits) if any(row.cells))
    first = list(islice(found, _SAMPLE))
    if not first:
        return []
    names = first[0][1].cells if _is_header([row.cells for _, row in first], limits.columns) else None
    below = chain(first[1:] if names else first, found)
    records = (Record(number, _record(row.cells, names), _warning(row, names)) for number, row in below)
    return list(documents(records, "row", limits))


def _rows(text: str, limits: Limits) -> Iterator[tuple[int, Row]]:
    """Numbered, cells trimmed. Raises ParseError."""
    mark, start = delimiter(text, limits.cells, lambda cell: role(cell, limits.columns) is not None)
    number = 0
    try:
        for number, row in enumerate(Table(text, mark, limits.cells).rows(start), start=1):
            yield number, row._replace(cells=[cell.strip() for cell in row.cells])
    except TooManyCells as error:
        raise ParseError("too_large", f"row {number + 1}: {error}") from None


def _warning(row: Row, names: Sequence[str] | None) -> str:
    if row.broken:
        return f"line {row.line}: a quote is astray, the line is read as plain text"
    if names and any(row.cells[len(names) :]):
        return f"line {row.line}: {len(row.cells)} cells under {len(names)} names"
    return ""


def _is_header(rows: Sequence[Sequence[str]], own: Columns) -> bool:
    """Known names make a header. So do short, distinct, wordy names over rows that look unlike them."""
    first = rows[0]
    if any(role(cell, own) for cell in first):
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
