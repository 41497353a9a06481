"""Where a stretch of a document's text stands in its file: page and boxes, slide, sheet and cells, archive's member.

Regions are what a parser says, line by line; a place is what a passage keeps of them.
"""

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_DIGITS = 1  # of a point, 1/72 inch: finer than any screen shows


class Box(NamedTuple):
    """Points (1/72 inch) from the page's top left corner as it is shown, x0 < x1, y0 < y1."""

    x0: float
    y0: float
    x1: float
    y1: float


class Word(NamedTuple):
    text: str
    box: Box


class TextLayer(NamedTuple):
    """Of one page. pages: of the file. width, height: of the page, in points, as it is shown."""

    pages: int
    width: float
    height: float
    words: list[Word]


@dataclass(frozen=True, slots=True)
class Region:
    """text[start:end] of the document, a line or less where there is a box.

    page, slide: from 1. edges: 4 * (end - start) float32, each character's left, top, right and bottom on the page, in
    points; empty where they are not known: a part of the region then has all of its box. cells: one ("B2") or a range
    ("A2:C2"), as the sheet's own program names them.
    """

    start: int
    end: int
    page: int | None = None
    box: Box | None = None
    edges: bytes = b""
    slide: int | None = None
    sheet: str = ""
    cells: str = ""

    def part(self, start: int, end: int) -> Box | None:
        """The box of text[start:end], which overlaps the region."""
        if self.box is None or not self.edges:
            return self.box
        edges = array("f", self.edges)
        first, last = max(0, start - self.start), min(end, self.end) - self.start
        found = edges[4 * first : 4 * last]
        return Box(min(found[::4]), min(found[1::4]), max(found[2::4]), max(found[3::4])) if found else self.box


@dataclass(frozen=True, slots=True)
class OnPage:
    """boxes: one a line, in reading order; empty where the format knows pages alone."""

    page: int
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Of a passage. pages: those that it stands on, ascending. slide: its first. cells: within `sheet`.

    member: the path inside the archive or mail that is the file, its steps divided by `/`; "" outside one.
    """

    pages: tuple[OnPage, ...] = ()
    slide: int | None = None
    sheet: str = ""
    cells: str = ""
    member: str = ""

    def fields(self) -> dict[str, Any]:
        """As every API shows it, what is unknown left out. `page` and `boxes` are of the passage's first page, `pages`
        of all of them where there are more.
        """
        shown: dict[str, Any] = {}
        if self.pages:
            shown["page"] = self.pages[0].page
            if self.pages[0].boxes:
                shown["boxes"] = [list(box) for box in self.pages[0].boxes]
        if len(self.pages) > 1:
            shown["pages"] = [{"page": each.page, "boxes": [list(box) for box in each.boxes]} for each in self.pages]
        named = {"slide": self.slide, "sheet": self.sheet, "cell_range": self.cells, "member": self.member}
        return shown | {name: value for name, value in named.items() if value}


NOWHERE = Place()


def place_of(regions: Sequence[Region], start: int, end: int, member: str = "") -> Place:
    """Of text[start:end]. regions: ascending, apart from each other."""
    first = bisect_right(regions, start, key=lambda region: region.end)
    pages: dict[int, list[Box]] = {}
    sheet, ranges, slide = "", [], None
    for region in regions[first:]:
        if region.start >= end:
            break
        if region.page is not None:
            boxes = pages.setdefault(region.page, [])
            if (box := region.part(start, end)) is not None:
                boxes.append(Box(*(round(value, _DIGITS) for value in box)))
        slide = slide or region.slide
        sheet = sheet or region.sheet
        if region.cells and region.sheet == sheet:
            ranges.append(region.cells)
    on = tuple(OnPage(page, tuple(dict.fromkeys(boxes))) for page, boxes in sorted(pages.items()))
    return Place(on, slide, sheet, _hull(ranges), member)


def joined(places: Sequence[Place]) -> Place:
    """Of passages of one document that follow each other, some of them overlapping."""
    pages: dict[int, dict[Box, None]] = {}
    for each in (on for place in places for on in place.pages):
        pages.setdefault(each.page, {}).update(dict.fromkeys(each.boxes))
    on = tuple(OnPage(page, tuple(boxes)) for page, boxes in sorted(pages.items()))
    sheet = next((place.sheet for place in places if place.sheet), "")
    cells = _hull([place.cells for place in places if place.cells and place.sheet == sheet])
    slide = next((place.slide for place in places if place.slide), None)
    return Place(on, slide, sheet, cells, places[0].member if places else "")


def packed(place: Place) -> list[Any] | None:
    """For JSON; None for nowhere."""
    if place == NOWHERE:
        return None
    pages = [[each.page, [list(box) for box in each.boxes]] for each in place.pages]
    return [pages, place.slide, place.sheet, place.cells, place.member]


def unpacked(code: Sequence[Any]) -> Place:
    pages, slide, sheet, cells, member = code
    on = tuple(OnPage(page, tuple(Box(*box) for box in boxes)) for page, boxes in pages)
    return Place(on, slide, sheet, cells, member)


def column_name(number: int) -> str:
    """1 -> A, 26 -> Z, 27 -> AA: as spreadsheets name columns."""
    name = ""
    while number > 0:
        number, digit = divmod(number - 1, 26)
        name = chr(ord("A") + digit) + name
    return name


def cell_range(first_column: int, first_row: int, last_column: int, last_row: int) -> str:
    """All counted from 1. One cell is "B2", more are "A2:C5"."""
    first, last = f"{column_name(first_column)}{first_row}", f"{column_name(last_column)}{last_row}"
    return first if first == last else f"{first}:{last}"


def _hull(ranges: Sequence[str]) -> str:
    """The smallest range that holds all of them."""
    if len(ranges) < 2:
        return "".join(ranges)
    corners = [_corner(cell) for found in ranges for cell in found.split(":")]
    columns, rows = [column for column, _ in corners], [row for _, row in corners]
    return cell_range(min(columns), min(rows), max(columns), max(rows))


def _corner(cell: str) -> tuple[int, int]:
    letters = cell.rstrip("0123456789")
    column = 0
    for letter in letters:
        column = 26 * column + ord(letter) - ord("A") + 1
    return column, int(cell[len(letters) :])


def shown(place: Mapping[str, Any]) -> str:
    """For a person: "p. 3", "slide 2", "Sheet1!A2:C5"; of `Place.fields`."""
    page, slide, cells = (place.get(name) for name in ("page", "slide", "cell_range"))
    sheet = "!".join(part for part in (place.get("sheet"), cells) if part)
    where = (place.get("member"), f"p. {page}" if page else "", f"slide {slide}" if slide else "", sheet)
    return ", ".join(part for part in where if part)
