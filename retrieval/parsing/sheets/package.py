"""The parts of an Office workbook (ECMA-376): its sheets, shared strings, number formats, comments and text boxes."""

from dataclasses import dataclass
from typing import Any

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.package import Package
from retrieval.parsing.base.safe import attribute, elements, local
from retrieval.parsing.sheets.numbers import BUILT_IN

_WORKBOOK = "xl/workbook.xml"
_MAX_STYLES = 100_000


@dataclass(frozen=True, slots=True)
class Part:
    """A sheet of the workbook. path: of its part, "" where none is named."""

    name: str
    hidden: bool
    path: str


class Workbook(Package):
    """Raises ParseError, in every method, where what it asks for is damaged."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        super().__init__(content, limits)
        self._main = self.main(_WORKBOOK)
        if self._main not in self.archive:
            raise ParseError("invalid_file", "it is no workbook: it has no part that lists its sheets")
        self._book = self.root(self._main)

    @property
    def from_1904(self) -> bool:
        """Whether its dates are counted from 1904."""
        found = [attribute(each, "date1904") for each in self._book if local(each) == "workbookPr"]
        return any(value in ("1", "true", "on") for value in found)

    def sheets(self) -> list[Part]:
        related = self.relations(self._main)
        listed = [each for group in self._book if local(group) == "sheets" for each in group if local(each) == "sheet"]
        return [
            Part(
                attribute(each, "name") or f"Sheet{number}",
                attribute(each, "state") in ("hidden", "veryHidden"),
                related[attribute(each, "id")].target if attribute(each, "id") in related else "",
            )
            for number, each in enumerate(listed, 1)
        ]

    def strings(self) -> list[str]:
        """The shared ones, in the order that cells count them."""
        path = self._of_kind("sharedStrings", "xl/sharedStrings.xml")
        return [rich(each) for each in elements(self.archive.read(path), "si")] if path else []

    def formats(self) -> list[str]:
        """The number format of each style that a cell may have."""
        path = self._of_kind("styles", "xl/styles.xml")
        if not path:
            return []
        own: dict[int, str] = {}
        styles: list[str] = []
        for group in self.root(path):
            if local(group) == "numFmts":
                own |= {_number(attribute(each, "numFmtId")): attribute(each, "formatCode") for each in group}
            if local(group) == "cellXfs":
                numbers = [_number(attribute(each, "numFmtId")) for each in group[:_MAX_STYLES]]
                styles = [own.get(number) or BUILT_IN.get(number, "General") for number in numbers]
        return styles

    def comments(self, sheet: str) -> list[tuple[str, str]]:
        """(cell, text) of a sheet's notes, and of its threads instead where a cell has one."""
        notes: dict[str, list[str]] = {}
        threads: dict[str, list[str]] = {}
        for kind, tag, into in (("comments", "comment", notes), ("threadedComment", "threadedComment", threads)):
            for path in self.related(sheet, kind):
                for each in elements(self.archive.read(path), tag):
                    into.setdefault(attribute(each, "ref").upper(), []).append(rich(each))
        return [(cell, "\n".join(said)) for cell, said in (notes | threads).items() if any(said)]

    def boxes(self, sheet: str) -> list[str]:
        """Text boxes and shapes with text."""
        found: list[str] = []
        for path in self.related(sheet, "drawing"):
            for each in elements(self.archive.read(path), "txBody"):
                lines = ["".join(t.text or "" for t in p.iter() if local(t) == "t") for p in each if local(p) == "p"]
                found.append("\n".join(lines).strip())
        return [text for text in found if text]

    def _of_kind(self, kind: str, usual: str) -> str:
        return next(self.related(self._main, kind), usual if usual in self.archive else "")


def rich(element: Any) -> str:
    """Runs of text as one; of East Asian readings above it (rPh) nothing."""
    parts: list[str] = []
    for child in element:
        name = local(child)
        if name == "t":
            parts.append(child.text or "")
        elif name in ("r", "text", "is"):
            parts.append(rich(child))
    if not parts and element.text and not len(element):
        return str(element.text)
    return "".join(parts)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
