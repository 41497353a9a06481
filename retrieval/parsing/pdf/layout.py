"""The reading order of a page: columns one after the other, tables as rows, else lines from the top down.

A sweep over the page's rows finds the gutters that row after row leaves free: an XY-cut that looks at what stands on
both sides before it cuts, as tables have gutters too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from retrieval.parsing.pdf.glyphs import Run
from retrieval.parsing.pdf.lines import cells, hull, merged, rows, width
from retrieval.parsing.pdf.tables import Gap, Table, free, meet, table_at

_GUTTER = 8.0  # points, of two columns
_COLUMN_ROWS = 3  # with text on both sides
_COLUMN_WIDTH = 18  # character cells of a column's usual line
_FILL = 0.6  # of its column's width that a usual line takes
_DEPTH = 4  # columns in columns
_APART = 3.0  # of the type's size: two texts beside each other are not one line


@dataclass(frozen=True, slots=True)
class Column:
    """Lines in reading order, with the column's own left and right."""

    lines: list[Run]
    left: float
    right: float


def ordered(runs: Sequence[Run], depth: int = _DEPTH) -> list[Column | Table]:
    """Everything of a page, in reading order."""
    found: list[Column | Table] = []
    page = rows(runs)
    pending: list[list[Run]] = []
    at = 0
    while at < len(page):
        end, gutter = _columns(page, at) if depth else (at + 1, None)
        if gutter is None:
            pending += page[at:end]
        else:
            found += _plain(pending)
            pending = []
            for side in _sides(page[at:end], gutter):
                found += ordered(side, depth - 1)
        at = end
    return found + _plain(pending)


def _columns(page: list[list[Run]], at: int) -> tuple[int, Gap | None]:
    """How far the rows from `at` share a gutter, and the gutter where text runs down both of its sides."""
    whole = hull([run.box for row in page for run in (row[0], row[-1])])
    gutters: list[Gap] = [(whole.x0, whole.x1)]
    end = at
    while end < len(page) and (narrowed := meet(gutters, free(page[end]), _GUTTER)):
        gutters, end = narrowed, end + 1
    for gap in sorted(gutters, key=lambda gap: gap[0] - gap[1]):
        if gap[0] > whole.x0 and gap[1] < whole.x1 and _running(page[at:end], gap):
            return end, gap
    return max(end, at + 1), None


def _sides(page: Sequence[Sequence[Run]], gutter: Gap) -> tuple[list[Run], list[Run]]:
    middle = (gutter[0] + gutter[1]) / 2
    left = [run for row in page for run in row if run.box.x1 <= middle]
    right = [run for row in page for run in row if run.box.x1 > middle]
    return left, right


def _running(page: list[list[Run]], gutter: Gap) -> bool:
    """Whether text runs down both sides of the gutter, as it does not in a table."""
    both = [row for row in page if any(r.box.x1 <= gutter[0] for r in row) and any(r.box.x0 >= gutter[1] for r in row)]
    if len(both) < _COLUMN_ROWS:
        return False
    for side in _sides(both, gutter):
        lines = [merged(row) for row in rows(side)]
        whole = hull([line.box for line in lines])
        wide = median(width(line.text) for line in lines)
        fill = median(line.box.x1 - line.box.x0 for line in lines) / max(1.0, whole.x1 - whole.x0)
        if wide < _COLUMN_WIDTH or fill < _FILL:
            return False
    return True


def _plain(page: list[list[Run]]) -> list[Column | Table]:
    """Rows without columns: tables, and lines between them."""
    if not page:
        return []
    divided = [cells(row) for row in page]
    whole = hull([cell.box for row in divided for cell in row])
    found: list[Column | Table] = []
    lines: list[Run] = []
    at = 0
    while at < len(divided):
        if (begun := table_at(divided, at)) is not None:
            if lines:
                found.append(Column(lines, whole.x0, whole.x1))
            table, extent = begun
            found.append(table)
            lines = [merged(divided[place]) for place in extent.asides]
            at = extent.end
        else:
            lines += [merged(group) for group in _together(divided[at])]
            at += 1
    return [*found, Column(lines, whole.x0, whole.x1)] if lines else found


def _together(row: Sequence[Run]) -> list[list[Run]]:
    """A row's cells that are one line all the same."""
    groups: list[list[Run]] = []
    for cell in row:
        if groups and cell.box.x0 - groups[-1][-1].box.x1 <= _APART * cell.size:
            groups[-1].append(cell)
        else:
            groups.append([cell])
    return groups
