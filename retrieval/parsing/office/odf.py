"""OpenDocument (OASIS, ISO 26300): text, slides and sheets by one walker."""

from typing import Any

from models.base import BlockKind
from retrieval.parsing.base.building import HERE, Builder, Row
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Budget, Limits
from retrieval.parsing.base.safe import Archive, attribute, local, root
from retrieval.places import Region, cell_range
from retrieval.types import ParsedDocument

_LEFT_OUT = frozenset(
    {"tracked-changes", "table-of-content", "forms", "sequence-decls", "alphabetical-index", "scripts", "desc", "title"}
)
_NOTES: dict[str, BlockKind] = {"note": "footnote", "annotation": "comment", "text-box": "text_box"}
_REPEATED = 1000  # cells or rows alike that are written out; of empty ones none is
_LEAD = 200


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """Raises ParseError."""
    archive = Archive(content, limits)
    manifest = archive.read("META-INF/manifest.xml") if "META-INF/manifest.xml" in archive else b""
    if b"encryption-data" in manifest:
        raise ParseError("encrypted_file", "it opens with a password alone: save it without one and send it again")
    reader = _Reader(Builder(limits), Budget(limits.sheet_cells, "cells"))
    body = next((one for one in root(archive.read("content.xml")) if local(one) == "body"), None)
    for document in () if body is None else body:
        reader.flow(document)
    return [reader.builder.build(filename, _title(archive))]


def _title(archive: Archive) -> str:
    if "meta.xml" not in archive:
        return ""
    try:
        found = (one.text or "" for one in root(archive.read("meta.xml")).iter() if local(one) == "title")
        return next(found, "")
    except ParseError:
        return ""


class _Reader:
    def __init__(self, builder: Builder, cells: Budget) -> None:
        self.builder = builder
        self._cells = cells
        self._place = HERE
        self._slides = 0
        self._lead = ""

    def flow(self, parent: Any, kind: BlockKind = "prose") -> None:
        for element in parent:
            name = local(element)
            if name in ("h", "p"):
                self._paragraph(element, kind)
            elif name == "list":
                self._list(element, 0)
            elif name == "table":
                self._table(element, is_sheet=local(parent) == "spreadsheet")
            elif name == "page":
                self._slides += 1
                self._place = Region(0, 0, slide=self._slides)
                self.flow(element)
            elif name == "notes":
                self.flow(element, "note")
            elif name and name not in _LEFT_OUT and name not in ("style", "master-page"):
                self.flow(element, kind)

    def _paragraph(self, element: Any, kind: BlockKind) -> None:
        parts: list[str] = []
        beside: list[Any] = []
        _inline(element, parts, beside)
        text = "".join(parts).strip()
        level = attribute(element, "outline-level")
        if local(element) == "h" and kind == "prose":
            self.builder.heading(int(level) if level.isdigit() and len(level) < 3 else 1, text, self._place)
        else:
            self.builder.paragraph(text, kind, self._place)
        self._lead = text if len(text) <= _LEAD else ""
        self._beside(beside)

    def _beside(self, beside: list[Any]) -> None:
        for note in beside:
            kind = _NOTES[local(note)]
            if kind == "text_box":
                self.flow(note, kind)
            else:
                paragraphs = [_plain(one) for one in note.iter() if local(one) == "p"]
                self.builder.paragraph(" ".join(" ".join(paragraphs).split()), kind, self._place)

    def _list(self, element: Any, level: int) -> None:
        for item in element:
            for child in item:
                if local(child) == "list":
                    self._list(child, level + 1)
                elif local(child) in ("p", "h"):
                    parts: list[str] = []
                    beside: list[Any] = []
                    _inline(child, parts, beside)
                    self.builder.item("".join(parts), "-", level, self._place, self._lead)
                    self._beside(beside)

    def _table(self, table: Any, *, is_sheet: bool) -> None:
        name = attribute(table, "name")
        if is_sheet:
            self.builder.heading(1, name, Region(0, 0, sheet=name))
        rows, header, beside = list[Row](), False, list[Any]()
        number = 1
        for row, is_header in _rows(table, in_header=False):
            cells = self._row(row, beside)
            repeated = _count(row, "number-rows-repeated")
            if any(cells):
                header |= is_header and not rows
                for at in range(number, number + min(repeated, _REPEATED)):
                    self._cells.take(len(cells))
                    rows.append(Row(cells, self._row_place(name, at, cells) if is_sheet else self._place))
            number += repeated
        self.builder.table(rows, named=header or (is_sheet and len(rows) > 1 and _wordy(rows[0])))
        self._beside(beside)
        self._lead = ""

    @staticmethod
    def _row_place(sheet: str, number: int, cells: list[str]) -> Region:
        filled = [at for at, cell in enumerate(cells, 1) if cell]
        return Region(0, 0, sheet=sheet, cells=cell_range(filled[0], number, filled[-1], number))

    def _row(self, row: Any, beside: list[Any]) -> list[str]:
        cells: list[str] = []
        for cell in row:
            if local(cell) not in ("table-cell", "covered-table-cell"):
                continue
            text = " ".join(_cell(cell, beside).split())
            repeated = _count(cell, "number-columns-repeated")
            if text:
                cells += [text] * min(repeated, _REPEATED)
            elif repeated <= _REPEATED:
                cells += [""] * repeated
        while cells and not cells[-1]:
            cells.pop()
        return cells


def _rows(table: Any, *, in_header: bool) -> list[tuple[Any, bool]]:
    found = []
    for element in table:
        name = local(element)
        if name == "table-row":
            found.append((element, in_header))
        elif name in ("table-header-rows", "table-row-group", "table-rows"):
            found += _rows(element, in_header=in_header or name == "table-header-rows")
    return found


def _wordy(row: Row) -> bool:
    return all(cell and not cell[0].isdigit() for cell in row.cells)


def _count(element: Any, name: str) -> int:
    text = attribute(element, name)
    return int(text) if text.isdigit() and len(text) < 9 else 1


def _cell(cell: Any, beside: list[Any]) -> str:
    parts = []
    for element in cell:
        name = local(element)
        if name in _NOTES:
            beside.append(element)
        elif name in ("p", "h"):
            own: list[str] = []
            _inline(element, own, beside)
            parts.append("".join(own))
        elif name == "table":
            rows = [[_cell(one, beside) for one in row] for row, _ in _rows(element, in_header=False)]
            parts.append("; ".join(", ".join(row) for row in rows))
        elif name in ("list", "list-item", "section"):
            parts.append(_cell(element, beside))
    return " ".join(parts)


def _plain(paragraph: Any) -> str:
    parts: list[str] = []
    _inline(paragraph, parts, [])
    return "".join(parts)


def _inline(element: Any, parts: list[str], beside: list[Any]) -> None:
    """Text with its spaces, as deep as the XML is; notes and boxes are put beside it."""
    parts.append(element.text or "")
    for child in element:
        name = local(child)
        if name in _NOTES:
            beside.append(child)
        elif name == "s":
            parts.append(" " * min(_count(child, "c"), 100))
        elif name == "tab":
            parts.append(" ")
        elif name == "line-break":
            parts.append("\n")
        elif name and name not in _LEFT_OUT:
            _inline(child, parts, beside)
        parts.append(child.tail or "")
