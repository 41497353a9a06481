"""Quotes as one text that reads as an answer: a mark for each passage and paragraph; pure.

Nothing of a document's markup acts in an answer: pictures are left out, links are text and address, emphasis goes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from models.quoting.marks import neutral
from models.quoting.pictures import disarmed
from models.quoting.sentences import Unit
from models.quoting.structure import cells
from models.quoting.wording import visible

_IMAGE = re.compile(
    r"!\[[^\[\]]*\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+[\"'][^\"']*[\"'])?\)|\[[^\[\]]*\])|<img\b[^>]*>", re.I
)
_LINK = re.compile(r"\[([^\[\]]+)\]\(\s*<?([^()\s<>]*(?:\([^()\s]*\)[^()\s<>]*)*)>?(?:\s+[\"'][^\"']*[\"'])?\s*\)")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]+)>")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*\\])\*(?=[^\s*])([^*\n]+?)(?<=\S)\*(?![\w*])")
_TAG = re.compile(r"</?(?:br|p|b|i|em|strong|u|span|div|sup|sub|font|a)\b[^<>]*>", re.IGNORECASE)
_TICKS = re.compile(r"`{3,}")
_LABEL = (":", "：")
_AFTER_LABEL = re.compile(r"([:：]), ")
_SHOWN = ("http://", "https://", "mailto:", "/", "#")


@dataclass(frozen=True, slots=True)
class Quote:
    """A unit of passage `mark`; position: among that passage's units."""

    unit: Unit
    mark: int
    position: int


def spoken(text: str) -> str:
    """Words of a document as they may stand in an answer, on one line."""
    text = _AUTOLINK.sub(r"\1", _LINK.sub(_address, _IMAGE.sub("", visible(text))))
    text = _EMPHASIS.sub(r"\1", _STRONG.sub(r"\2", _TAG.sub(" ", text)))
    return disarmed(neutral(" ".join(text.split())))


def _address(link: re.Match[str]) -> str:
    """Both, where the address is one that a reader may follow and is not the text itself."""
    text, address = link[1].strip(), link[2]
    return text if text == address or not address.startswith(_SHOWN) else f"{text} ({address})"


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of an answer. quoted: a document's words, and what sets them apart; else a mark of ours."""

    text: str
    quoted: bool


def render(quotes: Sequence[Quote]) -> str:
    return "".join(piece.text for piece in pieces(quotes))


def pieces(quotes: Sequence[Quote]) -> Iterator[Said]:
    """In the order given. Sentences of a paragraph, items of a list and rows of a table share their mark ` [n]`."""
    parts = [list(group) for _, group in groupby(quotes, key=lambda quote: (quote.mark, quote.unit.paragraph))]
    for index, part in enumerate(parts):
        following = parts[index + 1] if index + 1 < len(parts) else None
        text = _paragraph([quote.unit for quote in part])
        if following is not None and following[0].mark == part[0].mark and _leads(part, following):
            yield Said(f"{text}\n", quoted=True)
            continue
        yield Said(text + _before_mark(part[-1].unit), quoted=True)
        yield Said(f"[{part[0].mark}]", quoted=False)
        if following is not None:
            yield Said(_separator(part, following), quoted=True)


def _leads(part: Sequence[Quote], following: Sequence[Quote]) -> bool:
    """One mark stands for a list or a block together with the sentence that introduces it."""
    return part[-1].unit.kind == "sentence" and following[0].unit.kind in ("item", "code")


def _separator(part: Sequence[Quote], following: Sequence[Quote]) -> str:
    kinds = {quote.unit.kind for quote in (*part, *following)}
    if part[0].mark != following[0].mark or kinds & {"code", "row"}:
        return "\n\n"
    return "\n" if "item" in kinds else " "


def _before_mark(unit: Unit) -> str:
    return "\n" if unit.kind == "code" else " "


def _paragraph(units: Sequence[Unit]) -> str:
    rows = [unit for unit in units if unit.kind == "row"]
    if len(rows) > 1 and len(rows) == len(units) and rows[0].context:
        return _table(rows)
    text = ""
    for index, unit in enumerate(units):
        if index:
            text += " " if unit.kind == units[index - 1].kind == "sentence" else "\n"
        text += _said(unit)
    return text


def _said(unit: Unit) -> str:
    if unit.kind == "code":
        text = visible(unit.text)
        fence = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(text)), default=0))
        return f"{fence}\n{text}\n{fence}"
    return named_cells(unit) if unit.kind == "row" else spoken(unit.text)


def named_cells(row: Unit) -> str:
    """`Plan: Pro, Month: $19`; without a header the cells alone, of a form each field with its value."""
    own, names = cells(row.text), cells(row.context)
    if row.text.startswith("|") and not row.context.startswith("|"):
        own = ["", *own]  # the first cell of a row without borders is empty
    if len(names) < len(own) or own[0].endswith(_LABEL):  # a total's own words stand under no column's name
        return _AFTER_LABEL.sub(r"\1 ", ", ".join(spoken(cell) for cell in own if cell))
    pairs = ((spoken(name), spoken(cell)) for name, cell in zip(names, own, strict=False))
    return ", ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def _table(rows: Sequence[Unit]) -> str:
    lines = [cells(rows[0].context), *(cells(row.text) for row in rows)]
    head, *body = (f"| {' | '.join(spoken(cell) for cell in line)} |" for line in lines)
    return "\n".join([head, f"|{'---|' * len(lines[0])}", *body])
