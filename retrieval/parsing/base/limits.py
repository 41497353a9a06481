"""How much one file may hold: looked at before it is read and while it is, so that memory stays near its own size."""

from dataclasses import dataclass, field

from retrieval.columns import Columns
from retrieval.parsing.base.errors import ParseError


@dataclass(frozen=True, slots=True)
class Limits:
    """bytes: of the file. characters: of text out of it, over all its documents.

    rows: that become documents, of about 500 bytes each beside their text. cells: of a row, as many as a spreadsheet
    has columns. line: characters of a line of JSONL, whose empty lists take twenty times as much when they are read.
    tokens: tags and texts of HTML, 150 bytes each. lines: of Markdown, 1.3 kB each where they are headings. pages: of
    plain text. entries, inflated: members of a zip, and bytes out of all that are read of them. sheet_cells: of a
    workbook, 300 bytes each. columns: no limit, but it travels with them: what columns mean, beside the usual names.
    """

    bytes: int = 400_000_000
    characters: int = 100_000_000
    rows: int = 1_000_000
    cells: int = 16_384
    line: int = 20_000_000
    tokens: int = 2_000_000
    lines: int = 500_000
    pages: int = 1_000_000
    entries: int = 20_000
    inflated: int = 400_000_000
    sheet_cells: int = 1_000_000
    columns: Columns = field(default_factory=dict)


def within(most: int, found: int, what: str) -> None:
    """Raises ParseError too_large where more is found than may be. what: of which, for the file's owner to read."""
    if found > most:
        raise ParseError("too_large", f"it holds more than {most:,} {what}, the most that is indexed: divide it")


class Budget:
    """What may still come out of a file, as it comes."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._taken = 0

    def take(self, count: int) -> None:
        """Raises ParseError too_large."""
        self._taken += count
        if self._taken > self._most:
            within(self._most, self._taken, self._what)


def characters(limits: Limits) -> Budget:
    return Budget(limits.characters, "characters of text")
