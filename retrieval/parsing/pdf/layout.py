"""The reading order of a page: columns one after the other, tables as rows, else lines from the top down.

A sweep over the page's rows finds the gutters that row after row leaves free: an XY-cut that looks at what stands on
both sides before it cuts, as tables have gutters too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from retrieval.parsing.pdf.glyphs import Run
from retrieval.parsing.pdf.lines import cells, hull, merged, rows, width

Gap = tuple[float, float]

_GUTTER = 8.0  # points, of two columns
_COLUMN_ROWS = 3  # with text on both sides
_COLUMN_WIDTH = 18  # character cells of a column's usual line
_FILL = 0.6  # of its column's width that a usual line takes
_DEPTH = 4  # columns in columns
_TABLE_ROWS = 3  # two where there are three columns
_APART = 3.0  # of the type's size: two texts beside each other are not one line
_KEPT = 0.6  # of the gutters of a table's first row: fewer, and another table has begun
_TABLE_GAP = 3.0  # usual row heights between two rows


@dataclass(frozen=True, slots=True)
class Table:
    """rows: of as many cells as it has columns, an empty one None."""

    rows: list[list[Run | None]]


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
    free: list[Gap] = [(whole.x0, whole.x1)]
    end = at
    while end < len(page) and (narrowed := _meet(free, _free(page[end]), _GUTTER)):
        free, end = narrowed, end + 1
    for gap in sorted(free, key=lambda gap: gap[0] - gap[1]):
        if gap[0] > whole.x0 and gap[1] < whole.x1 and _running(page[at:end], gap):
            return end, gap
    return max(end, at + 1), None


def _free(row: Sequence[Run]) -> list[Gap]:
    """What a row leaves free, to both sides without an end."""
    gaps: list[Gap] = []
    right = float("-inf")
    for run in row:
        if run.box.x0 > right:
            gaps.append((right, run.box.x0))
        right = max(right, run.box.x1)
    return [*gaps, (right, float("inf"))]


def _meet(one: list[Gap], other: list[Gap], least: float) -> list[Gap]:
    """Stretches at least so wide that both leave free. Both ascending."""
    met: list[Gap] = []
    i = j = 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if high - low >= least:
            met.append((low, high))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return met


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
        end, gutters = _aligned(divided, at)
        if gutters:
            if lines:
                found.append(Column(lines, whole.x0, whole.x1))
                lines = []
            found.append(Table([_in_columns(row, gutters) for row in divided[at:end]]))
        else:
            lines += [merged(group) for row in divided[at:end] for group in _together(row)]
        at = end
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


def _aligned(page: list[list[Run]], at: int) -> tuple[int, list[Gap]]:
    """How far rows of cells from `at` share their gutters, and those; none where no table begins there."""
    end, gutters = _shared(page, at)
    if not gutters or len(_shared(page, at + 1)[1]) > len(gutters):  # a title over columns is none of their rows
        return at + 1, []
    return end, gutters


def _shared(page: list[list[Run]], at: int) -> tuple[int, list[Gap]]:
    if at >= len(page) or len(page[at]) < 2:
        return at + 1, []
    gutters, end = _free(page[at])[1:-1], at + 1
    most = len(gutters)
    while end < len(page) and _goes_on(page, end):
        narrowed = [gap for gap in _meet(gutters, _free(page[end]), 3.0) if gap[0] > float("-inf")]
        narrowed = [gap for gap in narrowed if gap[1] < float("inf")]
        if len(narrowed) < max(1, _KEPT * most):
            break
        gutters, end = narrowed, end + 1
    if end - at >= _TABLE_ROWS or (end - at == 2 and len(gutters) > 1):
        return end, gutters
    return at + 1, []


def _goes_on(page: list[list[Run]], at: int) -> bool:
    """Whether the row may be one of the table above it: it has cells, or goes on with one between rows that have."""
    if not _near(page[at - 1], page[at]):
        return False
    if len(page[at]) >= 2:
        return True
    above, cell = page[at - 1], page[at][0]
    within = len(above) >= 2 and cell.box.x0 > above[0].box.x1 and cell.size <= above[0].size and not cell.bold
    return within and at + 1 < len(page) and len(page[at + 1]) >= 2 and _near(page[at], page[at + 1])


def _near(above: Sequence[Run], below: Sequence[Run]) -> bool:
    height = max(run.size for run in above)
    return min(run.box.y0 for run in below) - max(run.box.y1 for run in above) < _TABLE_GAP * height


def _in_columns(row: Sequence[Run], gutters: Sequence[Gap]) -> list[Run | None]:
    placed: list[list[Run]] = [[] for _ in range(len(gutters) + 1)]
    for cell in row:
        placed[sum(gap[1] <= cell.box.x0 + 0.01 for gap in gutters)].append(cell)
    return [merged(each) if each else None for each in placed]
