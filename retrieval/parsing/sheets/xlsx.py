"""Workbooks of Excel 2007 and later (xlsx, xlsm, xltx): own reading of their XML, as no small library has formats."""

import math
import re
from typing import Any

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Budget, Limits, characters
from retrieval.parsing.base.safe import elements, local
from retrieval.parsing.sheets.grid import Cell, Merge, Sheet
from retrieval.parsing.sheets.numbers import shown
from retrieval.parsing.sheets.package import Part, Workbook, rich
from retrieval.parsing.sheets.writing import written
from retrieval.types import ParsedDocument

_CELL = re.compile(r"\$?([A-Z]{1,3})\$?([1-9]\d{0,6})")
_MAX_ROW, _MAX_COLUMN = 1_048_576, 16_384
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TRUE = ("1", "true")


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """One document, or one a row where its sheets are questions with answers. Raises ParseError."""
    package = Workbook(content, limits)
    reader = _Reader(package, limits)
    sheets: list[Sheet] = []
    warnings: list[str] = []
    hidden: list[str] = []
    listed = package.sheets()
    for part in listed:
        if part.hidden:
            hidden.append(part.name)
            continue
        try:
            sheets.append(reader.sheet(part, warnings))
        except ParseError as error:
            if error.code != "invalid_file" or len(listed) == 1:
                raise
            warnings.append(f"sheet {part.name!r} could not be read: {error}")
    if hidden:
        warnings.append(f"hidden sheets were left out: {', '.join(hidden)}")
    return written(sheets, filename, limits, package.title(), warnings)


class _Reader:
    def __init__(self, package: Workbook, limits: Limits) -> None:
        self._package = package
        self._strings = [unescaped(text) for text in package.strings()]
        self._formats = package.formats()
        self._from_1904 = package.from_1904
        self._cells = Budget(limits.sheet_cells, "cells")
        self._characters = characters(limits)

    def sheet(self, part: Part, warnings: list[str]) -> Sheet:
        sheet = Sheet(part.name)
        hidden_rows: set[int] = set()
        hidden_columns: list[tuple[int, int]] = []
        filtered = False
        number = 0
        for element in elements(self._package.archive.read(part.path), "row", "col", "mergeCell", "filterColumn"):
            name = local(element)
            if name == "row":
                number = self._row(element, sheet, number)
                if element.get("hidden", "") in _TRUE:
                    hidden_rows.add(number)
            elif name == "mergeCell":
                self._cells.take(1)
                sheet.merges += merge_of(element.get("ref", ""))
            elif name == "filterColumn":
                filtered = True
            elif element.get("hidden", "") in _TRUE:
                hidden_columns.append((_digits(element.get("min", "")), _digits(element.get("max", ""))))
        left_out = _without_hidden(sheet, set() if filtered else hidden_rows, hidden_columns)
        if left_out:
            warnings.append(f"{left_out} cells in hidden rows or columns of sheet {part.name!r} were left out")
        self._beside(part, sheet, warnings)
        sheet.rows = dict(sorted(sheet.rows.items()))
        return sheet

    def _row(self, element: Any, sheet: Sheet, before: int) -> int:
        number = _digits(element.get("r", "")) or before + 1
        if number > _MAX_ROW:
            raise ParseError("invalid_file", f"sheet {sheet.name!r} has a row {number}, which no sheet can have")
        column = 0
        for each in element:
            if local(each) != "c":
                continue
            at = position(each.get("r", ""))
            column = at[1] if at else column + 1
            if text := self._text(each):
                self._cells.take(1)
                self._characters.take(len(text))
                is_text = each.get("t", "") in ("s", "str", "inlineStr")
                sheet.rows.setdefault(number, {})[min(column, _MAX_COLUMN)] = Cell(text, is_text)
        return number

    def _text(self, cell: Any) -> str:
        """What a reader sees in it."""
        kind = cell.get("t", "") or "n"
        value = next((str(each.text or "") for each in cell if local(each) == "v"), "")
        if kind == "inlineStr":
            return unescaped("".join(rich(each) for each in cell if local(each) == "is")).strip()
        if kind == "s":
            number = _digits(value)
            return self._strings[number].strip() if value.strip().isdigit() and number < len(self._strings) else ""
        if kind == "b":
            return "TRUE" if value.strip() in _TRUE else "FALSE" if value else ""
        if kind in ("str", "e", "d"):
            return unescaped(value).strip()
        return self._number(value.strip(), _digits(cell.get("s", "")))

    def _number(self, value: str, style: int) -> str:
        if not value:
            return ""
        try:
            number = float(value)
        except ValueError:
            return value
        code = self._formats[style] if style < len(self._formats) else "General"
        return shown(number, code, from_1904=self._from_1904) if math.isfinite(number) else value

    def _beside(self, part: Part, sheet: Sheet, warnings: list[str]) -> None:
        """Comments and text boxes."""
        try:
            for cell, text in self._package.comments(part.path):
                if at := position(cell):
                    self._characters.take(len(text))
                    sheet.comments.append((*at, unescaped(text)))
            sheet.boxes = self._package.boxes(part.path)
        except ParseError as error:
            if error.code != "invalid_file":
                raise
            warnings.append(f"comments or text boxes of sheet {part.name!r} could not be read: {error}")
        sheet.comments.sort()


def unescaped(text: str) -> str:
    """`_x000D_` and the like are characters that XML cannot hold."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def position(cell: str) -> tuple[int, int] | None:
    """(row, column) of "B2", counted from 1."""
    found = _CELL.fullmatch(cell)
    if not found:
        return None
    column = 0
    for letter in found[1]:
        column = 26 * column + ord(letter) - ord("A") + 1
    row = int(found[2])
    return (row, column) if row <= _MAX_ROW and column <= _MAX_COLUMN else None


def merge_of(cells: str) -> list[Merge]:
    first, _, last = cells.partition(":")
    start, end = position(first), position(last or first)
    return [Merge(*start, *end)] if start and end and start <= end and start[1] <= end[1] else []


def _without_hidden(sheet: Sheet, rows: set[int], columns: list[tuple[int, int]]) -> int:
    """How many cells are taken out."""
    count = sum(len(sheet.rows.pop(row)) for row in rows if row in sheet.rows)
    hidden = sorted(set(columns))[:_MAX_COLUMN]
    covered: set[int] = set()
    for first, last in hidden:
        covered.update(range(max(1, first), min(last, _MAX_COLUMN) + 1) if len(covered) < _MAX_COLUMN else ())
    if covered:
        for number, cells in list(sheet.rows.items()):
            kept = {column: cell for column, cell in cells.items() if column not in covered}
            count += len(cells) - len(kept)
            sheet.rows[number] = kept
    sheet.rows = {number: cells for number, cells in sheet.rows.items() if cells}
    return count


def _digits(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
