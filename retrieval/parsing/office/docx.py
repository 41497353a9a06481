"""Word documents (WordprocessingML): headings, paragraphs, lists, tables, notes, comments, text boxes, headers once."""

import re
from typing import Any

from models.base import BlockKind
from retrieval.parsing.base.building import Builder, Row
from retrieval.parsing.base.limits import Limits
from retrieval.parsing.base.package import Package
from retrieval.parsing.base.safe import attribute, local
from retrieval.parsing.office.runs import Runs, runs
from retrieval.parsing.office.styles import Numbering, Style, Styles, child, is_on, value
from retrieval.types import ParsedDocument

_MAIN = "word/document.xml"
_THROUGH = frozenset({"sdt", "sdtContent", "ins", "moveTo", "smartTag", "customXml", "AlternateContent", "Choice"})
_KINDS: dict[str, BlockKind] = {"footnotes": "footnote", "endnotes": "footnote", "comments": "comment"}
_LEAD = 200  # characters of the sentence before a list
_PAGE_NUMBER = re.compile(r"[\W\d_]*(?:page|쪽|페이지|of|/)?[\W\d_]*(?:of|/|중)?[\W\d_]*", re.IGNORECASE)


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """Raises ParseError."""
    package = Package(content, limits)
    main = package.main(_MAIN)
    root = package.root(main)
    reader = _Reader(package, main, Builder(limits))
    body = child(root, "body")
    reader.flow(root if body is None else body)
    reader.margins()
    return [reader.builder.build(filename, package.title())]


class _Reader:
    def __init__(self, package: Package, main: str, builder: Builder) -> None:
        self.builder = builder
        self._package, self._main = package, main
        self._styles = Styles(self._part("styles"))
        self._numbering = Numbering(self._part("numbering"))
        self._notes = {kind: self._listed(kind) for kind in _KINDS}
        self._lead = ""

    def _part(self, kind: str) -> Any | None:
        part = next(self._package.related(self._main, kind), None)
        return None if part is None else self._package.optional(part)

    def _listed(self, kind: str) -> dict[str, Any]:
        """The notes of a part by id, separators left out."""
        root = self._part(kind)
        found = () if root is None else root
        return {attribute(one, "id"): one for one in found if local(one) and not attribute(one, "type")}

    def flow(self, parent: Any, kind: BlockKind = "prose") -> None:
        for element in parent:
            name = local(element)
            if name == "p":
                self._paragraph(element, kind)
            elif name == "tbl":
                self._table(element, kind)
            elif name in _THROUGH:
                self.flow(element, kind)

    def margins(self) -> None:
        """Headers and footers, each text once, after all else."""
        said: set[str] = set()
        for kind in ("header", "footer"):
            for part in self._package.related(self._main, kind):
                root = self._package.optional(part)
                for element in () if root is None else root.iter():
                    if local(element) == "p":
                        text = " ".join(runs(element).text.split())
                        if text not in said and not _PAGE_NUMBER.fullmatch(text):
                            self.builder.paragraph(text)
                        said.add(text)

    def _paragraph(self, element: Any, kind: BlockKind) -> None:
        style, found = self._styles.of(element), runs(element)
        if not style.is_contents and not style.hidden:
            self._put(style, found, kind)
        self._beside(found)

    def _put(self, style: Style, found: Runs, kind: BlockKind) -> None:
        text = found.text.replace("\t", " ").strip()
        mark = self._numbering.mark(style.list) if style.list and text else ""
        if kind != "prose":
            self.builder.paragraph(f"{mark} {text}" if mark else text, kind)
        elif style.level and text:
            self.builder.heading(style.level, f"{mark} {text}" if mark not in ("", "-") else text)
            self._lead = ""
        elif mark:
            self.builder.item(text, mark, style.list[1] if style.list else 0, lead=self._lead)
        else:
            self.builder.paragraph(text, "caption" if style.is_caption else "prose")
            self._lead = text if len(text) <= _LEAD else ""

    def _beside(self, found: Runs) -> None:
        for box in found.boxes:
            self.flow(box, "text_box")
        for part, number in found.notes:
            if (note := self._notes[part].get(number)) is not None:
                paragraphs = [runs(one).text for one in note.iter() if local(one) == "p"]
                self.builder.paragraph(" ".join(" ".join(paragraphs).split()), _KINDS[part])

    def _table(self, table: Any, kind: BlockKind) -> None:
        rows = _through(table, "tr")
        cells = [_through(row, "tc") for row in rows]
        if len(rows) == 1 and len(cells[0]) == 1:  # a frame around text
            self.flow(cells[0][0], kind)
            return
        hanging: list[Runs] = []
        written: list[Row] = []
        above: list[str] = []
        for row in cells:
            line: list[str] = []
            for cell in row:
                merged = child(cell, "tcPr", "vMerge")
                going_on = merged is not None and attribute(merged, "val") != "restart"
                place = len(line)
                text = above[place] if going_on and place < len(above) else _cell(cell, hanging)
                span = value(cell, "tcPr", "gridSpan") or "1"
                line += [text, *[""] * (min(int(span), 64) - 1 if span.isdigit() else 0)]
            above = line
            written.append(Row(line))
        self.builder.table(written, named=bool(rows) and len(rows) > 1 and _is_header(table, rows[0]))
        self._lead = ""
        for found in hanging:
            self._beside(found)


def _through(parent: Any, wanted: str) -> list[Any]:
    """Children of that name, also those inside content controls and insertions."""
    found = []
    for element in parent:
        if local(element) == wanted:
            if not _is_deleted(element):
                found.append(element)
        elif local(element) in _THROUGH:
            found += _through(element, wanted)
    return found


def _is_deleted(row: Any) -> bool:
    return child(row, "trPr", "del") is not None


def _cell(cell: Any, hanging: list[Runs]) -> str:
    """Its paragraphs on one line; of a table inside it each row, its cells divided by commas."""
    parts = []
    for element in cell:
        if local(element) == "p":
            found = runs(element)
            hanging.append(found)
            parts.append(found.text)
        elif local(element) == "tbl":
            parts.append(
                "; ".join(
                    ", ".join(_cell(one, hanging) for one in _through(row, "tc")) for row in _through(element, "tr")
                )
            )
        elif local(element) in _THROUGH:
            parts.append(_cell(element, hanging))
    return " ".join(" ".join(parts).split())


def _is_header(table: Any, row: Any) -> bool:
    """By its own word, by the look of the table, or by its bold type."""
    if is_on(row, "trPr", "tblHeader"):
        return True
    look = child(table, "tblPr", "tblLook")
    if look is not None and (attribute(look, "firstRow") == "1" or _bits(attribute(look, "val")) & 0x20):
        return True
    texts = [runs(one) for one in row.iter() if local(one) == "p"]
    seen = [found for found in texts if found.text.strip()]
    return bool(seen) and all(found.bold for found in seen)


def _bits(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0
