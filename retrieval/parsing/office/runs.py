"""A Word paragraph's text as it reads with its changes accepted, and what hangs on it (ECMA-376 part 1, 17.3)."""

from dataclasses import dataclass, field
from typing import Any

from retrieval.parsing.base.safe import attribute, local
from retrieval.parsing.office.math import linear
from retrieval.parsing.office.styles import is_on

_LEFT_OUT = frozenset(
    {"del", "moveFrom", "instrText", "delText", "delInstrText", "rPr", "pPr", "sdtPr", "sdtEndPr", "rt", "Fallback"}
)
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
_PRIVATE = range(0xF000, 0xF100)  # where symbol fonts have their signs


@dataclass(slots=True)
class Runs:
    """notes: (kind of part, id) of footnotes, endnotes and comments, in reading order. boxes: contents of text boxes.
    bold: all that can be seen of it.
    """

    text: str = ""
    notes: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[Any] = field(default_factory=list)
    bold: bool = True


_NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes", "commentReference": "comments"}


def runs(paragraph: Any) -> Runs:
    found, parts = Runs(), list[str]()
    for child in paragraph:
        _read(child, found, parts)
    found.text = "".join(parts)
    return found


def _read(element: Any, found: Runs, parts: list[str]) -> None:
    """As deep as the XML is, 256 levels at most."""
    name = local(element)
    if name == "t":
        parts.append(element.text or "")
    elif name in _SIGNS:
        if not (name == "br" and attribute(element, "type") in ("page", "column")):
            parts.append(_SIGNS[name])
    elif name == "sym":
        parts.append(_symbol(attribute(element, "char")))
    elif name in _NOTES:
        found.notes.append((_NOTES[name], attribute(element, "id")))
    elif name == "txbxContent":
        found.boxes.append(element)
    elif name in ("oMath", "oMathPara"):
        parts.append(linear(element))
    elif name == "r" and is_on(element, "rPr", "vanish"):
        return
    elif name and name not in _LEFT_OUT:
        if name == "r":
            found.bold &= is_on(element, "rPr", "b")
        for child in element:
            _read(child, found, parts)


def _symbol(code: str) -> str:
    try:
        number = int(code, 16)
    except ValueError:
        return ""
    return "•" if number in _PRIVATE else chr(number) if 0x20 <= number < 0xD800 else ""
