"""Which delimiter a table has: by its content, as names are often wrong (a `.csv` from Excel may have `;` or tabs)."""

import re
from collections.abc import Callable
from itertools import islice

from retrieval.parsing.cells.grammar import TooManyCells
from retrieval.parsing.cells.table import Row, Table

NONE = "\0"  # of a text that has a column only: it stands in no text
_DELIMITERS = "\t|;,"  # where two would do, the one that is rarer in prose
_SAMPLE, _CHARACTERS = 50, 200_000  # rows and characters looked at
_EVEN = 0.6  # of the rows that must have as many cells as the first
_DECLARED = re.compile(r"sep=([\t|;,])\n", re.IGNORECASE)  # Excel's own, as the first line


def delimiter(text: str, most: int, is_name: Callable[[str], bool]) -> tuple[str, int]:
    """The one that cuts the rows into equal numbers of cells, NONE where none does; and where the rows begin.

    most: cells of a row. is_name: whether a cell is the name of a column that is known; two of them are a header.
    """
    if declared := _DECLARED.match(text):
        return declared[1], declared.end()
    end = text.find("\n", _CHARACTERS)
    sample = text if end < 0 else text[:end]
    evenness = {each: _evenness(sample, each, most, is_name) for each in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda each: evenness[each])
    return (best if evenness[best] >= _EVEN else NONE), 0


def _evenness(sample: str, delimiter: str, most: int, is_name: Callable[[str], bool]) -> float:
    """The share of rows with as many cells as the first, and no quote astray; more than 1 below a known header."""
    try:
        rows: list[Row] = list(islice((row for row in Table(sample, delimiter, most).rows() if row.cells), _SAMPLE))
    except TooManyCells:
        return _EVEN  # where no other will do, it is for who reads the rows to refuse it
    if not rows or len(rows[0].cells) < 2:
        return 0.0
    even = sum(len(row.cells) == len(rows[0].cells) and not row.broken for row in rows) / len(rows)
    return even + (sum(map(is_name, rows[0].cells)) > 1)
