"""The cells of a sheet, and the tables that a reader sees in them.

Only cells that hold something are kept, so a sheet costs what is in it, however far apart it stands.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from retrieval.parsing.base.building import Builder, Row
from retrieval.parsing.base.limits import Budget
from retrieval.places import Region, cell_range

_DEPTH = 6  # cuts by empty rows and columns within each other
_SPARSE, _FILLED = 4096, 0.05  # beyond so many places a region with a smaller share filled is no table
_MAX_NAME = 80  # characters of a column's name
_COVERED = 0.6  # of the columns, that have a name


class Cell(NamedTuple):
    """text: as a reader sees it, not empty. named: it is text, and may name a column."""

    text: str
    is_text: bool


class Merge(NamedTuple):
    """All counted from 1, both ends within."""

    row: int
    column: int
    last_row: int
    last_column: int


@dataclass(slots=True)
class Sheet:
    """rows: row -> column -> cell, both counted from 1, rows ascending. comments: (row, column, text)."""

    name: str
    rows: dict[int, dict[int, Cell]] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    comments: list[tuple[int, int, str]] = field(default_factory=list)
    boxes: list[str] = field(default_factory=list)

    def place(self, row: int, columns: Iterable[int]) -> Region:
        found = list(columns)
        return Region(0, 0, sheet=self.name, cells=cell_range(min(found), row, max(found), row))


class Area(NamedTuple):
    """Rows that follow each other, and the columns of them; first and last, counted from 1."""

    rows: Sequence[int]
    first: int
    last: int


def spread(sheet: Sheet, cells: Budget) -> None:
    """A cell merged over several rows stands in each of them that holds anything, in its first column.

    cells: what may come into being.
    """
    rows = sorted(sheet.rows)
    for merge in sheet.merges:
        if merge.last_row == merge.row or not (cell := sheet.rows.get(merge.row, {}).get(merge.column)):
            continue
        for row in rows[_after(rows, merge.row) : _after(rows, merge.last_row)]:
            cells.take(1)
            sheet.rows[row].setdefault(merge.column, cell)


def _after(rows: Sequence[int], row: int) -> int:
    return bisect_right(rows, row)


def areas(sheet: Sheet) -> list[Area]:
    """What empty rows and columns divide, in reading order."""
    rows = sorted(row for row, cells in sheet.rows.items() if cells)
    if not rows:
        return []
    reach: dict[int, list[tuple[int, int]]] = {}
    for merge in sheet.merges:
        if merge.last_column > merge.column and merge.column in sheet.rows.get(merge.row, {}):
            reach.setdefault(merge.row, []).append((merge.column, merge.last_column))
    return list(_divided(sheet, rows, 1, 1 << 20, reach, _DEPTH))


def _divided(
    sheet: Sheet,
    rows: Sequence[int],
    first: int,
    last: int,
    reach: dict[int, list[tuple[int, int]]],
    depth: int,
) -> Iterator[Area]:
    for block in _runs([row for row in rows if any(first <= column <= last for column in sheet.rows[row])]):
        spans = [(column, column) for row in block for column in sheet.rows[row] if first <= column <= last]
        spans += [span for row in block for span in reach.get(row, ()) if first <= span[0] <= last]
        parts = _joined(spans)
        if len(parts) == 1 or not depth:
            yield Area(block, parts[0][0], parts[-1][1])
            continue
        for left, right in parts:
            yield from _divided(sheet, block, left, right, reach, depth - 1)


def _runs(rows: Sequence[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for row in rows:
        if run and row != run[-1] + 1:
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of columns that touch, as one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(set(spans)):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined


def header_rows(sheet: Sheet, area: Area) -> int:
    """How many rows at the top of an area name its columns: none, one, or two where the first one groups them."""
    if len(area.rows) < 2:
        return 0
    first = _cells(sheet, area, area.rows[0])
    if not _names(first, 1):
        return 0
    grouped = any(m.row == area.rows[0] and m.last_column > m.column and m.column in first for m in sheet.merges)
    if grouped and len(area.rows) > 2 and _names(_cells(sheet, area, area.rows[1]), 2):
        return 2
    width = area.last - area.first + 1
    return 1 if len(first) >= max(2, _COVERED * width) and len({c.text for c in first.values()}) == len(first) else 0


def _names(cells: dict[int, Cell], least: int) -> bool:
    return len(cells) >= least and all(cell.is_text and len(cell.text) <= _MAX_NAME for cell in cells.values())


def header(sheet: Sheet, area: Area, count: int) -> dict[int, str]:
    """The name of each column that has one. count: of rows, as `header_rows` gives it."""
    names: dict[int, list[str]] = {}
    for row in area.rows[:count]:
        cells = _cells(sheet, area, row)
        wide = {m.column: m.last_column for m in sheet.merges if m.row == row and m.column in cells}
        for column, cell in cells.items():
            for each in range(column, min(area.last, wide.get(column, column)) + 1):
                if cell.text not in names.setdefault(each, []):
                    names[each].append(cell.text)
    return {column: " ".join(parts) for column, parts in names.items()}


def titles(sheet: Sheet, area: Area) -> int:
    """Rows at the top of a table that hold one cell, a sentence above it."""
    if area.last == area.first:
        return 0
    for count, row in enumerate(area.rows):
        if len(_cells(sheet, area, row)) > 1:
            return count
    return 0


def write(sheet: Sheet, area: Area, builder: Builder) -> None:
    """An area as paragraphs and a table."""
    above = titles(sheet, area)
    for row in area.rows[:above]:
        _write_line(sheet, area, row, builder)
    table = area._replace(rows=area.rows[above:])
    if len(table.rows) == 1 or area.last == area.first:
        for row in table.rows:
            _write_line(sheet, area, row, builder)
        return
    count = header_rows(sheet, table)
    builder.table(_table(sheet, table, count), named=bool(count))


def _write_line(sheet: Sheet, area: Area, row: int, builder: Builder) -> None:
    cells = _cells(sheet, area, row)
    text = " | ".join(cells[column].text for column in sorted(cells))
    builder.paragraph(text, place=sheet.place(row, cells))


def _table(sheet: Sheet, area: Area, count: int) -> Iterator[Row]:
    width = area.last - area.first + 1
    filled = sum(len(_cells(sheet, area, row)) for row in area.rows)
    sparse = width * len(area.rows) > _SPARSE and filled < _FILLED * width * len(area.rows)
    if count:
        names = header(sheet, area, count)
        place = sheet.place(area.rows[0], names)
        if count > 1:
            last = area.rows[count - 1]
            place = Region(0, 0, sheet=sheet.name, cells=cell_range(min(names), area.rows[0], max(names), last))
        yield Row([names.get(column, "") for column in range(area.first, area.last + 1)], place)
    for row in area.rows[count:]:
        cells = _cells(sheet, area, row)
        columns = sorted(cells) if sparse else range(area.first, max(cells, default=area.first) + 1)
        yield Row([cells[column].text if column in cells else "" for column in columns], sheet.place(row, cells))


def _cells(sheet: Sheet, area: Area, row: int) -> dict[int, Cell]:
    cells = sheet.rows[row]
    if area.first <= min(cells, default=0) and max(cells, default=0) <= area.last:
        return cells
    return {column: cell for column, cell in cells.items() if area.first <= column <= area.last}
