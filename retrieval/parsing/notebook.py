"""Jupyter notebooks (nbformat 3 and 4): Markdown cells with their headings, code cells as code, short text outputs."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from retrieval.parsing.base.building import Builder
from retrieval.parsing.base.encoding import decode
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.types import ParsedDocument

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_OUTPUT = 2000  # characters of one that are kept


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """Raises ParseError."""
    try:
        notebook = orjson.loads(decode(content, most=limits.characters))
    except (ValueError, RecursionError) as error:
        raise ParseError("invalid_file", f"it is no notebook: {error}") from None
    if not isinstance(notebook, dict) or not (cells := list(_cells(notebook))):
        raise ParseError("invalid_file", "it is no notebook: it has no list of cells")
    builder = Builder(limits)
    for cell in cells:
        source = _text(cell.get("source", cell.get("input")))
        kind = cell.get("cell_type")
        if kind == "markdown":
            _markdown(builder, source)
        elif kind == "heading":  # nbformat 3
            builder.heading(cell["level"] if isinstance(cell.get("level"), int) else 1, source)
        elif kind == "code":
            builder.code(source)
            outputs = cell.get("outputs")
            for output in outputs if isinstance(outputs, list) else ():
                _output(builder, output)
        else:
            builder.paragraph(source)
    return [builder.build(filename, _title(notebook))]


def _cells(notebook: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    sheets = notebook.get("worksheets")
    listed = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)] if isinstance(sheets, list) else []
    for cells in [notebook.get("cells"), *listed]:
        if isinstance(cells, list):
            yield from (cell for cell in cells if isinstance(cell, dict))


def _markdown(builder: Builder, source: str) -> None:
    paragraph: list[str] = []
    fenced = False
    for line in [*source.splitlines(), ""]:
        fence = _FENCE.match(line) is not None
        heading = None if fenced else _HEADING.match(line)
        if heading or (not fenced and not line.strip()):
            builder.paragraph("\n".join(paragraph))
            paragraph = []
        if heading:
            builder.heading(len(heading[1]), heading[2], mark=f"{heading[1]} ")  # as Markdown is written
        elif fence and fenced:
            builder.code("\n".join(paragraph))
            paragraph = []
        elif fence:
            builder.paragraph("\n".join(paragraph))
            paragraph = []
        elif line.strip() or fenced:
            paragraph.append(line)
        fenced ^= fence
    builder.paragraph("\n".join(paragraph))


def _output(builder: Builder, output: Any) -> None:
    if not isinstance(output, dict):
        return
    data = output.get("data")
    text = _text(data.get("text/plain") if isinstance(data, dict) else output.get("text"))
    if text.strip():
        builder.code(text if len(text) <= _OUTPUT else text[:_OUTPUT] + "\n…")


def _text(source: Any) -> str:
    if isinstance(source, list):
        return "".join(part for part in source if isinstance(part, str))
    return source if isinstance(source, str) else ""


def _title(notebook: Mapping[str, Any]) -> str:
    metadata = notebook.get("metadata")
    title = metadata.get("title") if isinstance(metadata, dict) else None
    return title if isinstance(title, str) else ""
