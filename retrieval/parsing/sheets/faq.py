"""Workbooks of questions and answers: each row a document, as in a CSV file of the same columns."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.records import Record, asks, documents
from retrieval.parsing.sheets.grid import Area, Sheet, areas, header, header_rows, titles
from retrieval.types import ParsedDocument


def questions(sheets: Sequence[Sheet], limits: Limits) -> list[ParsedDocument]:
    """None where any sheet with rows holds something else than one table of questions."""
    found: list[tuple[Sheet, Area, dict[int, str]]] = []
    for sheet in sheets:
        if sheet.rows:
            tables = [each for each in areas(sheet) if len(each.rows) > 1]
            if len(tables) != 1 or sheet.comments or sheet.boxes:
                return []
            table = tables[0]._replace(rows=tables[0].rows[titles(sheet, tables[0]) :])
            names = header(sheet, table, 1) if header_rows(sheet, table) == 1 else {}
            if not asks(names.values(), limits):
                return []
            found.append((sheet, table, names))
    places = {}

    def records() -> Iterator[Record]:
        number = 0
        for sheet, table, names in found:
            for row in table.rows[1:]:
                number += 1
                cells = {c: cell for c, cell in sheet.rows[row].items() if table.first <= c <= table.last}
                places[number] = sheet.place(row, cells or (table.first,))
                yield Record(number, {names.get(c, f"column {c}"): cell.text for c, cell in sorted(cells.items())})

    numbered = documents(records(), "row", limits)
    # The generator of documents has asked for one record when it gives one: the last place is its own.
    return [replace(each, regions=(replace(places[max(places)], start=0, end=len(each.text)),)) for each in numbered]
