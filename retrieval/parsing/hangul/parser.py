"""hwp, hwpx and HWPML to one document."""

from collections.abc import Sequence

from retrieval.characters import one_line
from retrieval.parsing.base.building import Builder, Row, nothing_readable
from retrieval.parsing.base.encoding import clean
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.hangul.library import read
from retrieval.parsing.hangul.pieces import Piece
from retrieval.types import ParsedDocument

_LEAST_TITLE = 4
_MAX_NAME = 80  # characters of a column's name
_MAX_LEAD = 200


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """Raises ParseError."""
    reading = read(content, limits)
    builder = Builder(limits)
    lead = ""
    for piece in reading.pieces:
        _write(piece, builder, lead)
        if piece.kind != "item":
            lead = piece.text if piece.kind == "paragraph" and len(piece.text) <= _MAX_LEAD else ""
    for warning in reading.warnings:
        builder.warn(warning)
    if builder.empty:
        raise nothing_readable("the Hangul document")
    if reading.left_out:
        builder.warn(f"left out: {', '.join(reading.left_out)}")
    document = builder.build(filename)
    # Hangul takes the first line ever written for a title, and keeps it through every later use of the file.
    title = one_line(clean(reading.title))
    if len(title) >= _LEAST_TITLE and _squeezed(title) in _squeezed(document.text):
        document = builder.build(filename, title)
    return [document]


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _write(piece: Piece, builder: Builder, lead: str) -> None:
    if piece.kind == "heading":
        builder.heading(piece.level, piece.text)
    elif piece.kind == "item":
        builder.item(piece.text, piece.mark, piece.level, lead=lead)
    elif piece.kind == "table":
        _table(piece.rows, builder)
    else:
        builder.paragraph(piece.text, "footnote" if piece.kind == "footnote" else "prose")


def _table(rows: Sequence[Sequence[str]], builder: Builder) -> None:
    """A table of one cell is a frame around text."""
    if len(rows) == 1 and len(rows[0]) == 1:
        builder.paragraph(rows[0][0], "text_box")
    else:
        builder.table([Row(row) for row in rows], named=_is_header(rows))


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Short names for most of the columns, no two alike, no numbers."""
    names = [" ".join(cell.split()) for cell in rows[0]]
    named = [name for name in names if name]
    return (
        len(rows) > 1
        and len(named) >= max(2, 0.6 * len(names))
        and len(set(named)) == len(named)
        and all(len(name) <= _MAX_NAME and not name[0].isdigit() for name in named)
    )
