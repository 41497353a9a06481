"""A document as it grows, block by block: its text with exact offsets, headings, blocks and regions.

For parsers of formats that know their blocks (pages, slides, sheets, office text). Between two blocks stands an empty
line, between the rows of a table and the items of a list a line's end. Every text is cleaned here (see
retrieval.parsing.base.encoding.clean), before its offset is taken.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from models.base import Block, BlockKind
from retrieval.characters import one_line
from retrieval.parsing.base.encoding import clean, titled
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Budget, Limits, characters
from retrieval.parsing.base.sections import sections
from retrieval.places import Region
from retrieval.types import Attributes, ParsedDocument

_MAX_TITLE = 300
_MAX_HEADING = 300
_MAX_HEADER = 2000  # characters of a table's header, which every row carries
_TIGHT = frozenset({"item", "row", "header"})  # no empty line between two of them
_BREAKS = re.compile(r"\n{3,}")

HERE = Region(0, 0)


@dataclass(frozen=True, slots=True)
class Row:
    """cells: as a reader sees them. place: of the row. parts: the row's line in pieces with a region each, where it
    stands on several lines; they count where they are the line that `Builder.table` makes of the cells.
    """

    cells: Sequence[str]
    place: Region = HERE
    parts: Sequence[tuple[str, Region]] = ()


class Builder:
    """place, of every call: where it stands in the file; its own offsets are not looked at.

    Raises ParseError too_large as soon as there is more text than `limits` allow.
    """

    def __init__(self, limits: Limits, budget: Budget | None = None) -> None:
        """budget: of the characters, where several documents share it."""
        self._budget = budget or characters(limits)
        self._parts: list[str] = []
        self._length = 0
        self._last: BlockKind | None = None
        self._headings: list[tuple[int, int, str]] = []
        self._path: list[tuple[int, str]] = []  # the last heading's, with those above it
        self._blocks: list[Block] = []
        self._regions: list[Region] = []
        self._warnings: list[str] = []

    @property
    def length(self) -> int:
        """Characters so far."""
        return self._length

    @property
    def empty(self) -> bool:
        return not self._length

    @property
    def first_heading(self) -> str:
        return next((name for _, _, name in self._headings if name), "")

    def heading(self, level: int, text: str, place: Region = HERE, mark: str = "") -> None:
        """level: from 1. mark: before it, as in "## ". Longer than a heading is: a paragraph."""
        name = one_line(clean(text))
        if len(name) > _MAX_HEADING:
            self.paragraph(text, place=place)
        elif start := self._add("heading", f"{mark}{name}" if name else "", place):
            self._titled(start[0], level, name)

    def heading_lines(self, level: int, lines: Sequence[tuple[str, Region]]) -> None:
        """A heading whose lines have regions of their own; texts as `lines` takes them, what divides them in them."""
        name = one_line("".join(text for text, _ in lines))
        if not name or len(name) > _MAX_HEADING:
            self.lines(lines, separator="")
            return
        self.lines(lines, "heading", separator="")
        self._titled(self._blocks[-1].start, level, name)

    def paragraph(self, text: str, kind: BlockKind = "prose", place: Region = HERE, context: str = "") -> None:
        """Line ends stay where `text` has them; empty lines within it are left out."""
        self._add(kind, _BREAKS.sub("\n\n", clean(text)).strip(), place, context)

    def item(self, text: str, mark: str = "-", level: int = 0, place: Region = HERE, lead: str = "") -> None:
        """Of a list. mark: "-", "1." and the like. level: of nesting, from 0. lead: the sentence before the list."""
        body = " ".join(clean(text).split())
        if body:
            self._add("item", f"{'  ' * min(level, 4)}{mark} {body}", place, lead)

    def code(self, text: str, place: Region = HERE) -> None:
        self._add("code", clean(text).strip("\n"), place)

    def lines(
        self, lines: Sequence[tuple[str, Region]], kind: BlockKind = "prose", separator: str = "\n", context: str = ""
    ) -> None:
        """One block of several lines, each with a region of its own. Their texts are taken as they are: clean, and as
        long as their regions' edges say.
        """
        texts = [text for text, _ in lines]
        if not (found := self._add(kind, separator.join(texts), HERE, context)):
            return
        at = found[0]
        for text, region in lines:
            if text and region != HERE:
                self._regions.append(replace(region, start=at, end=at + len(text)))
            at += len(text) + len(separator)

    def table(self, rows: Iterable[Row], *, named: bool) -> None:
        """One line a row, its cells divided by " | ". named: the first row holds the columns' names."""
        header = ""
        for number, row in enumerate(rows):
            cells = [" ".join(clean(cell).split()) for cell in row.cells]
            while cells and not cells[-1]:
                cells.pop()
            if not any(cells):
                continue
            line = " | ".join(cell.replace("|", "\\|") for cell in cells)
            first = named and number == 0 and len(line) <= _MAX_HEADER
            kind: BlockKind = "header" if first else "row"
            if row.parts and "".join(text for text, _ in row.parts) == line:
                self.lines(row.parts, kind, "", header)
            else:
                self._add(kind, line, row.place, header)
            header = line if first else header
        self._last = None if self._last in ("row", "header") else self._last  # two tables are not one

    def warn(self, warning: str) -> None:
        """What could not be read; for the file's owner."""
        if warning not in self._warnings:
            self._warnings.append(warning)

    def build(
        self, filename: str, title: str = "", *, url: str = "", attributes: Attributes | None = None, member: str = ""
    ) -> ParsedDocument:
        """title: the document's own; without one its first heading, without that its name."""
        own = one_line(clean(title))[:_MAX_TITLE]
        return ParsedDocument(
            text="".join(self._parts),
            title=own or self.first_heading or titled(filename),
            attributes=attributes or {},
            sections=sections(self._headings),
            url=url,
            warning="; ".join(self._warnings),
            blocks=tuple(self._blocks),
            regions=tuple(self._regions),
            member=member,
        )

    def _add(self, kind: BlockKind, text: str, place: Region, context: str = "") -> tuple[int, int] | None:
        """Where it stands; None where there is nothing to see in it."""
        if not text or text.isspace():
            return None
        if self._length:
            self._append("\n" if kind in _TIGHT and self._last in _TIGHT else "\n\n")
        start = self._length
        self._append(text)
        self._last = kind
        self._blocks.append(Block(kind, start, self._length, context))
        if place != HERE:
            self._regions.append(replace(place, start=start, end=self._length))
        return start, self._length

    def _titled(self, start: int, level: int, name: str) -> None:
        """The last block is a heading."""
        self._headings.append((start, level, name))
        self._path = [(above, title) for above, title in self._path if above < level]
        above = [title for _, title in self._path if title]
        self._path.append((level, name))
        self._blocks[-1] = replace(self._blocks[-1], context=" > ".join(above))

    def _append(self, text: str) -> None:
        self._budget.take(len(text))
        self._parts.append(text)
        self._length += len(text)


def nothing_readable(what: str) -> ParseError:
    """what: kind of file, as in "the PDF"."""
    return ParseError("empty_file", f"{what} holds no text")
