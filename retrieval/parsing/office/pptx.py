"""Slides (PresentationML): a section each, in the order of a reader's eyes; tables, groups, charts, notes, comments."""

from collections.abc import Iterator
from typing import Any

from retrieval.parsing.base.building import Builder, Row
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits, within
from retrieval.parsing.base.package import Package
from retrieval.parsing.base.safe import attribute, local
from retrieval.parsing.office.math import linear
from retrieval.parsing.office.styles import child
from retrieval.places import Region
from retrieval.types import ParsedDocument

_MAIN = "ppt/presentation.xml"
_TITLES = frozenset({"title", "ctrTitle"})
_LEFT_OUT = frozenset({"dt", "ftr", "sldNum", "hdr", "sldImg"})
_BAND = 360_000  # EMU, a centimetre: shapes that begin within it stand in one line
_SHAPES = frozenset({"sp", "grpSp", "graphicFrame", "cxnSp", "pic"})
_MOST_SLIDES = 20_000


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """What cannot be read of one slide is a warning. Raises ParseError."""
    package = Package(content, limits)
    builder = Builder(limits)
    slides = list(_slides(package))
    within(_MOST_SLIDES, len(slides), "slides")
    hidden = []
    for number, part in enumerate(slides, 1):
        try:
            root = package.root(part)
        except ParseError as error:
            if error.code != "invalid_file" or len(slides) == 1:
                raise
            builder.warn(f"slide {number} could not be read: {error}")
            continue
        if attribute(root, "show") in ("0", "false"):
            hidden.append(number)
        _Slide(package, part, builder, Region(0, 0, slide=number)).write(root)
    if hidden:
        builder.warn(f"hidden slides are read too: {', '.join(map(str, hidden))}")
    return [builder.build(filename, package.title())]


def _slides(package: Package) -> Iterator[str]:
    """Parts in the order of the show."""
    main = package.main(_MAIN)
    relations = package.relations(main)
    listed = child(package.root(main), "sldIdLst")
    for one in () if listed is None else listed:
        for key, value in one.attrib.items():
            if key.endswith("}id") and value in relations and relations[value].target in package.archive:
                yield relations[value].target


class _Slide:
    def __init__(self, package: Package, part: str, builder: Builder, place: Region) -> None:
        self._package, self._part, self._builder, self._place = package, part, builder, place

    def write(self, root: Any) -> None:
        shapes = child(root, "cSld", "spTree")
        found = list(_ordered(shapes)) if shapes is not None else []
        titles = [one for one in found if _placeholder(one) in _TITLES]
        named = " ".join(" ".join(_text(one) for one in titles).split())
        if named:
            self._builder.heading(1, named, self._place)
        for shape in found:
            if shape not in titles:
                self._shape(shape)
        self._notes()
        self._comments()

    def _shape(self, shape: Any) -> None:
        name = local(shape)
        if name == "grpSp":
            for inner in _ordered(shape):
                self._shape(inner)
        elif name == "graphicFrame":
            self._frame(shape)
        elif name == "pic":
            described = next((attribute(one, "descr") for one in shape.iter() if local(one) == "cNvPr"), "")
            self._builder.paragraph(described, "caption", self._place)
        elif _placeholder(shape) not in _LEFT_OUT and (body := child(shape, "txBody")) is not None:
            self._paragraphs(body, listed=_placeholder(shape) in ("body", "obj", "subTitle", ""))

    def _paragraphs(self, body: Any, *, listed: bool) -> None:
        """listed: of a placeholder whose paragraphs are points, unless there is one only."""
        paragraphs = [one for one in body if local(one) == "p"]
        texts = [(one, _paragraph(one)) for one in paragraphs]
        points = [text for _, text in texts if text.strip()]
        for paragraph, text in texts:
            properties = child(paragraph, "pPr")
            level = attribute(properties, "lvl") if properties is not None else ""
            numbered = properties is not None and child(properties, "buAutoNum") is not None
            bullet = properties is not None and child(properties, "buChar") is not None
            plain = properties is not None and child(properties, "buNone") is not None
            if numbered or bullet or (listed and len(points) > 1 and not plain):
                self._builder.item(text, "-", int(level) if level.isdigit() else 0, self._place)
            else:
                self._builder.paragraph(text, place=self._place)

    def _frame(self, frame: Any) -> None:
        table = next((one for one in frame.iter() if local(one) == "tbl"), None)
        if table is not None:
            self._table(table)
            return
        for one in frame.iter():
            kind = local(one)
            if kind == "chart":
                self._chart(_target(self._package, self._part, one))
            elif kind == "relIds":
                self._diagram(_target(self._package, self._part, one, "dm"))

    def _table(self, table: Any) -> None:
        rows = []
        above: list[str] = []
        for row in (one for one in table if local(one) == "tr"):
            line: list[str] = []
            for cell in (one for one in row if local(one) == "tc"):
                going_on = attribute(cell, "vMerge") in ("1", "true")
                text = above[len(line)] if going_on and len(line) < len(above) else _text(cell)
                line.append("" if attribute(cell, "hMerge") in ("1", "true") else " ".join(text.split()))
            above = line
            rows.append(Row(line, self._place))
        properties = child(table, "tblPr")
        named = properties is not None and attribute(properties, "firstRow") in ("1", "true")
        self._builder.table(rows, named=named and len(rows) > 1)

    def _chart(self, part: str | None) -> None:
        """Its title, then its categories with the values of each series."""
        root = self._package.optional(part) if part else None
        if root is None:
            return
        title = next((one for one in root.iter() if local(one) == "title"), None)
        if title is not None:
            self._builder.paragraph(_text(title), "caption", self._place)
        series = [one for one in root.iter() if local(one) == "ser"]
        names = [" ".join(_points(child(one, "tx"))) for one in series]
        categories = next((found for one in series if (found := _points(child(one, "cat")))), [])
        columns = [_points(child(one, "val")) for one in series]
        if categories and any(columns):
            header = Row(["", *names], self._place)
            lines = [
                Row([name, *[column[at] if at < len(column) else "" for column in columns]], self._place)
                for at, name in enumerate(categories)
            ]
            self._builder.table([header, *lines] if any(names) else lines, named=any(names))

    def _diagram(self, part: str | None) -> None:
        root = self._package.optional(part) if part else None
        for point in () if root is None else root.iter():
            if local(point) == "t" and len(point):
                self._builder.item(_text(point), place=self._place)

    def _notes(self) -> None:
        for part in self._package.related(self._part, "notesSlide"):
            root = self._package.optional(part)
            for shape in () if root is None else root.iter():
                if local(shape) == "sp" and _placeholder(shape) in ("body", "") and child(shape, "txBody") is not None:
                    self._builder.paragraph(_text(shape), "note", self._place)

    def _comments(self) -> None:
        for part in self._package.related(self._part, "comments"):
            root = self._package.optional(part)
            for one in () if root is None else root.iter():
                if local(one) == "text" and one.text:  # of PowerPoint before 2021
                    self._builder.paragraph(one.text, "comment", self._place)
                elif local(one) == "txBody":
                    self._builder.paragraph(_text(one), "comment", self._place)


def _ordered(parent: Any) -> list[Any]:
    """Placeholders that stand where their layout says as they come, then all others from the top left."""
    shapes = []
    for one in parent:
        if local(one) == "AlternateContent":
            choice = child(one, "Choice")
            shapes += [] if choice is None else [inner for inner in choice if local(inner) in _SHAPES]
        elif local(one) in _SHAPES:
            shapes.append(one)
    placed = [(_position(shape), number, shape) for number, shape in enumerate(shapes)]
    as_laid_out = [shape for position, _, shape in placed if position is None]
    lines: list[list[tuple[int, int, int, Any]]] = []
    for y, x, number, shape in sorted((*reversed(at), n, shape) for at, n, shape in placed if at is not None):
        if not lines or y - lines[-1][0][0] >= _BAND:
            lines.append([])
        lines[-1].append((y, x, number, shape))
    return as_laid_out + [one[3] for line in lines for one in sorted(line, key=lambda one: one[1:3])]


def _position(shape: Any) -> tuple[int, int] | None:
    """(x, y) of its top left corner in EMU; None where its layout says."""
    offset = next((one for one in shape.iter() if local(one) == "off"), None)
    return None if offset is None else (_integer(attribute(offset, "x")), _integer(attribute(offset, "y")))


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return 0


def _placeholder(shape: Any) -> str | None:
    """Its type, "" where that is not said; None of what is none."""
    for one in shape[:1]:
        for inner in one.iter():
            if local(inner) == "ph":
                return attribute(inner, "type")
    return None


def _target(package: Package, part: str, element: Any, name: str = "id") -> str | None:
    relation = package.relations(part).get(attribute(element, name))
    return None if relation is None else relation.target


def _points(element: Any) -> list[str]:
    """Cached values of a chart's reference, in order."""
    if element is None:
        return []
    found = [(_integer(attribute(one, "idx")), child(one, "v")) for one in element.iter() if local(one) == "pt"]
    return [value.text or "" for _, value in sorted(found, key=lambda one: one[0]) if value is not None]


def _text(element: Any) -> str:
    paragraphs = [one for one in element.iter() if local(one) == "p"]
    return "\n".join(text for one in paragraphs if (text := _paragraph(one)).strip())


def _paragraph(paragraph: Any) -> str:
    parts = []
    for one in paragraph.iter():
        name = local(one)
        if name == "t" and "math" not in str(one.tag):
            parts.append(one.text or "")
        elif name == "br":
            parts.append("\n")
        elif name == "oMath":
            parts.append(linear(one))
    return "".join(parts)
