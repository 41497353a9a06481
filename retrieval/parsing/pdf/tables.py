"""Tables without rules: rows of cells that keep their columns, a row's cells over several lines; pure.

A cell that reaches over columns (a total, a remark, a line of another text that was set between two rows) says nothing
about where columns end: the other rows do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from retrieval.parsing.pdf.glyphs import Run
from retrieval.parsing.pdf.lines import merged

Gap = tuple[float, float]
Rows = Sequence[Sequence[Run]]
Cell = list[Run]  # its lines, from the top down

_ROWS = 3  # two where there are three columns
_WIDEST = 64  # columns: more are no table that a reader reads, and cost their square
_LOOKED_BACK = 8  # rows
_KEPT = 0.6  # of the gutters so far: a row that keeps fewer is another table's
_GUTTER = 3.0  # points
_ROW_GAP = 3.0  # usual row heights between two rows
_ALIGNED = 2.0  # points: two left edges are one
_REGULAR = 1.3  # of the usual step: as far as one row from the next
_TIGHT = 0.8  # of the usual step: two lines of one row
_LEADING = 2.0  # of the type's size: from one line of a cell to the next
_ONE_COLUMN = 2.0  # of the type's size: between a header and what stands beside its foot


@dataclass(frozen=True, slots=True)
class Table:
    """rows: of as many cells as it has columns."""

    rows: list[list[Cell]]


@dataclass(slots=True)
class Extent:
    """Rows of cells that share gutters. asides: lines of another text between them. Both: places in the page."""

    rows: list[int] = field(default_factory=list)
    asides: list[int] = field(default_factory=list)
    gutters: list[Gap] = field(default_factory=list)

    @property
    def end(self) -> int:
        return self.rows[-1] + 1


def table_at(page: Rows, at: int) -> tuple[Table, Extent] | None:
    """The table whose first row is page[at], a row's cells from left to right; None where none begins there."""
    found = _extent(page, at)
    if not found.gutters or len(_extent(page, at + 1).gutters) > len(found.gutters):
        return None  # a title over columns is none of their rows
    own = [page[i] for i in found.rows]
    stands = columns(own)
    return Table(_whole_rows([(row, _placed(row, stands)) for row in own])), found


def free(row: Sequence[Run]) -> list[Gap]:
    """What a row leaves free, to both sides without an end."""
    gaps: list[Gap] = []
    right = float("-inf")
    for run in row:
        if run.box.x0 > right:
            gaps.append((right, run.box.x0))
        right = max(right, run.box.x1)
    return [*gaps, (right, float("inf"))]


def meet(one: Sequence[Gap], other: Sequence[Gap], least: float) -> list[Gap]:
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


def _extent(page: Rows, at: int) -> Extent:
    """Without gutters where there are too few rows for a table."""
    if at >= len(page) or not 2 <= len(page[at]) <= _WIDEST:
        return Extent()
    found = Extent([at], [], free(page[at])[1:-1])
    for place in range(at + 1, len(page)):
        row = page[place]
        if not _near(page[place - 1], row) or len(row) > _WIDEST:
            break
        if len(row) >= 2:
            kept = meet(found.gutters, free(row), _GUTTER)
            if len(kept) < max(1, _KEPT * len(found.gutters)):
                break
            crossed = [gap for gap in found.gutters if not any(_overlap(gap, other) > 0 for other in kept)]
            found.gutters = sorted([*kept, *crossed])
            found.rows.append(place)
        elif _goes_on(page, place, found):
            found.rows.append(place)
        elif _aside(page, place, found):
            found.asides.append(place)
        else:
            break
    found.asides = [place for place in found.asides if place < found.end]
    full = sum(len(page[place]) >= 2 for place in found.rows)
    enough = full >= _ROWS or (full == 2 and len(found.gutters) > 1)
    return found if enough else Extent()


def _near(above: Sequence[Run], below: Sequence[Run]) -> bool:
    height = max(run.size for run in above)
    return min(run.box.y0 for run in below) - max(run.box.y1 for run in above) < _ROW_GAP * height


def _goes_on(page: Rows, place: int, found: Extent) -> bool:
    """Whether a line alone is the next one of a cell of the row above: right of the first column, and between rows, or
    below a cell's own left edge.
    """
    cell = page[place][0]
    above = next(page[i] for i in reversed(found.rows) if len(page[i]) >= 2)
    right = max(run.box.x1 for i in found.rows[-_LOOKED_BACK:] for run in page[i])
    if cell.box.x0 <= above[0].box.x1 or cell.box.x1 > right or cell.size > 1.05 * above[0].size or cell.bold:
        return False
    between = place + 1 < len(page) and len(page[place + 1]) >= 2 and _near(page[place], page[place + 1])
    below = any(abs(cell.box.x0 - run.box.x0) <= _ALIGNED for run in above[1:])
    return between or (below and cell.middle - page[place - 1][0].middle <= _LEADING * cell.size)


def _aside(page: Rows, place: int, found: Extent) -> bool:
    """Whether a line alone was set between two rows that follow each other as all do: it reaches over a gutter, and the
    next row keeps every one.
    """
    if place + 1 >= len(page) or len(page[place + 1]) < 2 or place - 1 in found.asides:
        return False
    usual = _usual_step([page[i] for i in found.rows[-_LOOKED_BACK:] if len(page[i]) >= 2])
    cell, following = page[place][0], page[place + 1]
    across = any(cell.box.x0 < gap[0] and gap[1] < cell.box.x1 for gap in found.gutters)
    keeps = len(meet(found.gutters, free(following), _GUTTER)) >= len(found.gutters)
    step = following[0].middle - page[place - 1][0].middle
    return across and keeps and 0 < step <= _REGULAR * usual


def _usual_step(rows: Rows) -> float:
    """From one row's middle to the next one's; 0 of a single row."""
    return median([below[0].middle - above[0].middle for above, below in pairwise(rows)] or [0.0])


def columns(rows: Rows) -> list[Gap]:
    """Left and right of each: what the cells of the fullest rows share with those of the others."""
    found: list[Gap] = []
    full = [row for row in rows if len(row) >= 2]
    for row in sorted(full, key=lambda row: -len(row)):
        for cell in row:
            own = (cell.box.x0, cell.box.x1)
            hit = [column for column in found if _overlap(column, own) > 0]
            if len(hit) < 2:
                found = sorted([*(column for column in found if column not in hit), _union([own, *hit])])
    at = 0
    while at + 1 < len(found):
        if _one_column(full, found[at], found[at + 1]):
            found[at : at + 2] = [_union(found[at : at + 2])]
        else:
            at += 1
    return found


def _one_column(rows: Rows, left: Gap, right: Gap) -> bool:
    """Whether more rows reach over both than keep them apart, or no row has both and they are close."""
    apart = across = 0
    for row in rows:
        sides = [(_overlap((c.box.x0, c.box.x1), left) > 0, _overlap((c.box.x0, c.box.x1), right) > 0) for c in row]
        across += (True, True) in sides
        apart += (True, False) in sides and (False, True) in sides
    return across > apart or (not apart and right[0] - left[1] <= _ONE_COLUMN * rows[0][0].size)


def _overlap(one: Gap, other: Gap) -> float:
    return min(one[1], other[1]) - max(one[0], other[0])


def _union(gaps: Sequence[Gap]) -> Gap:
    return min(low for low, _ in gaps), max(high for _, high in gaps)


def _placed(row: Sequence[Run], found: Sequence[Gap]) -> list[Cell]:
    """Each cell in the first column that it stands in."""
    placed: list[list[Run]] = [[] for _ in found]
    for cell in row:
        own = (cell.box.x0, cell.box.x1)
        hit = [n for n, column in enumerate(found) if _overlap(own, column) > 0]
        nearest = max(range(len(found)), key=lambda n: _overlap(own, found[n]))
        placed[hit[0] if hit else nearest].append(cell)
    return [[merged(each)] if each else [] for each in placed]


def _whole_rows(lines: Sequence[tuple[Sequence[Run], list[Cell]]]) -> list[list[Cell]]:
    """Lines that go on with cells of the row above are that row's."""
    begun = [row for row, cells in lines if cells[0]]
    usual = _usual_step(begun)
    found: list[list[Cell]] = []
    last: Sequence[Run] = ()
    for row, cells in lines:
        if found and _continues(found[-1], cells, tight=row[0].middle - last[0].middle < _TIGHT * usual):
            for whole, cell in zip(found[-1], cells, strict=True):
                whole += cell
        else:
            found.append(cells)
        last = row
    return found


def _continues(above: Sequence[Cell], cells: Sequence[Cell], *, tight: bool) -> bool:
    """Only below what is there: a lone cell, or several that follow more closely than rows do. What stands in the first
    column begins a row, unless it is alone and follows so closely.
    """
    filled = [n for n, cell in enumerate(cells) if cell]
    alone = len(filled) == 1
    return all(above[n] for n in filled) and (tight if alone == bool(cells[0]) else alone)
