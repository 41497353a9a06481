"""Sheets as documents: one for the workbook, or one a row where its tables are questions with answers."""

from collections.abc import Sequence
from dataclasses import replace

from retrieval.parsing.base.building import Builder, nothing_readable
from retrieval.parsing.base.encoding import titled
from retrieval.parsing.base.limits import Budget, Limits
from retrieval.parsing.sheets.faq import questions
from retrieval.parsing.sheets.grid import Sheet, areas, spread, write
from retrieval.places import Region, cell_range
from retrieval.types import ParsedDocument

_MAX_CONTEXT = 200


def written(
    sheets: Sequence[Sheet], filename: str, limits: Limits, title: str, warnings: Sequence[str]
) -> list[ParsedDocument]:
    """title: the workbook's own. Raises ParseError empty_file, too_large."""
    cells = Budget(limits.sheet_cells, "cells")
    for sheet in sheets:
        spread(sheet, cells)
    if rows := questions(sheets, limits):
        return [replace(rows[0], warning="; ".join([*filter(None, [rows[0].warning]), *warnings])), *rows[1:]]
    builder = Builder(limits)
    for sheet in sheets:
        _write(sheet, builder)
    if not any(sheet.rows or sheet.comments or sheet.boxes for sheet in sheets):
        raise nothing_readable("the workbook" + (f" ({'; '.join(warnings)})" if warnings else ""))
    for warning in warnings:
        builder.warn(warning)
    return [builder.build(filename, title or titled(filename))]  # a sheet's name is seldom that of all of them


def _write(sheet: Sheet, builder: Builder) -> None:
    if not (sheet.rows or sheet.comments or sheet.boxes):
        return
    builder.heading(1, sheet.name, Region(0, 0, sheet=sheet.name))
    for area in areas(sheet):
        write(sheet, area, builder)
    for text in sheet.boxes:
        builder.paragraph(text, "text_box", Region(0, 0, sheet=sheet.name))
    for row, column, text in sheet.comments:
        place = Region(0, 0, sheet=sheet.name, cells=cell_range(column, row, column, row))
        cell = sheet.rows.get(row, {}).get(column)
        builder.paragraph(text, "comment", place, context=cell.text[:_MAX_CONTEXT] if cell else "")
