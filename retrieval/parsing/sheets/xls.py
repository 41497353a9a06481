"""Workbooks of Excel 97 to 2003 (xls), read by calamine: values, dates, hidden sheets and merges.

Number formats are read beside it (biff.py). Comments, hidden rows and hidden columns are not known.
"""

import datetime
from io import BytesIO
from typing import Any

import python_calamine
from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Budget, Limits, characters
from retrieval.parsing.sheets.biff import Codes, formats
from retrieval.parsing.sheets.grid import Cell, Merge, Sheet
from retrieval.parsing.sheets.numbers import general, is_moment, shown
from retrieval.parsing.sheets.writing import written
from retrieval.types import ParsedDocument

_MOST_PLACES = 65_536 * 256  # of a sheet's grid, empty ones counted, that calamine lays out in memory


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """As of xlsx. Raises ParseError."""
    try:
        book = python_calamine.load_workbook(BytesIO(content))
    except python_calamine.PasswordError:
        raise ParseError("encrypted_file", "it opens with a password alone: save it without one") from None
    except (python_calamine.CalamineError, OSError, ValueError, MemoryError) as error:
        raise ParseError("invalid_file", f"it is no workbook, or damaged: {str(error)[:200]}") from None
    cells, budget = Budget(limits.sheet_cells, "cells"), characters(limits)
    codes = formats(content, limits.sheet_cells)
    sheets: list[Sheet] = []
    warnings: list[str] = []
    for found in book.sheets_metadata:
        if found.typ != SheetTypeEnum.WorkSheet:
            continue
        if found.visible != SheetVisibleEnum.Visible:
            warnings.append(f"hidden sheets were left out: {found.name}")
            continue
        try:
            sheets.append(_sheet(book, found.name, codes.get(found.name, {}), cells, budget))
        except (python_calamine.CalamineError, ValueError) as error:
            warnings.append(f"sheet {found.name!r} could not be read: {str(error)[:200]}")
    return written(sheets, filename, limits, "", warnings)


def _sheet(book: CalamineWorkbook, name: str, codes: Codes, cells: Budget, budget: Budget) -> Sheet:
    found = book.get_sheet_by_name(name)
    sheet = Sheet(name)
    if found.start is None:
        return sheet
    if found.width * found.height > _MOST_PLACES:
        raise ParseError("too_large", f"sheet {name!r} has {found.width * found.height:,} places: divide it")
    for number, row in enumerate(found.iter_rows(), 1):  # from the sheet's first row, but from its first column in use
        for column, value in enumerate(row, found.start[1] + 1):
            if text := _shown(value, codes.get((number, column), "General")):
                cells.take(1)
                budget.take(len(text))
                sheet.rows.setdefault(number, {})[column] = Cell(text, isinstance(value, str))
    sheet.merges = [Merge(a + 1, b + 1, c + 1, d + 1) for (a, b), (c, d) in found.merged_cell_ranges or ()]
    return sheet


def _shown(value: Any, code: str) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return general(value) if code == "General" or is_moment(code) else shown(value, code)
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.time):
        return value.strftime("%H:%M" if not value.second else "%H:%M:%S").removeprefix("0")
    if isinstance(value, datetime.timedelta):
        minutes = round(value.total_seconds() / 60)
        return f"{minutes // 60}:{minutes % 60:02}"
    return str(value).strip()
