"""The parser of PDF, in two passes over its pages: what repeats and which types there are, then the text."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pypdfium2

from retrieval.parsing.base.building import Builder, nothing_readable
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits, characters
from retrieval.parsing.base.recognition import Recognise, Unread
from retrieval.parsing.pdf import ocr
from retrieval.parsing.pdf.annotations import Beside, attached, beside, pictured
from retrieval.parsing.pdf.blocks import Writer, folded, styles
from retrieval.parsing.pdf.furniture import Furniture
from retrieval.parsing.pdf.glyphs import Run, runs, turn
from retrieval.parsing.pdf.joining import Words
from retrieval.parsing.pdf.layout import ordered
from retrieval.parsing.pdf.opening import opened, page_at, page_numbers
from retrieval.parsing.pdf.rendering import for_ocr
from retrieval.types import ParsedDocument

_OUTLINE = 20_000  # entries
_NO_TITLE = re.compile(
    r"(?:Microsoft (?:Word|PowerPoint|Excel) - .*|제목 없음.*|untitled.*|PowerPoint Presentation|.*\.\w{2,4})", re.I
)
_DATE = re.compile(r"D:(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(?:([+-])(\d\d)'?(\d\d)?|Z)?")


@dataclass(slots=True)
class _Page:
    """scanned: a picture without any text. recognised: by OCR."""

    runs: list[Run]
    width: float
    height: float
    beside: list[Beside]
    scanned: bool
    recognised: bool = False


def parse(content: bytes, filename: str, limits: Limits, recognise: Recognise | None = None) -> list[ParsedDocument]:
    """recognise: asked for pages that are pictures. Raises ParseError, needs_ocr where all there is are pictures."""
    with opened(content) as document:
        document.init_forms()
        pages = list(_pages(document, limits))
        reasons = _recognised(document, pages, recognise) if recognise else []
        if not any(page.runs or page.beside for page in pages):
            if any(page.scanned for page in pages):
                raise _needs_ocr(reasons)
            raise nothing_readable("the PDF")
        builder = Builder(limits)
        _write(builder, pages, _outline(document))
        _warn(builder, pages, reasons, attached(document))
        properties = document.get_metadata_dict()
    title = properties.get("Title", "")
    updated = _iso(properties.get("ModDate", ""))
    attributes = {"updated_at": updated} if updated else {}
    return [builder.build(filename, "" if _NO_TITLE.fullmatch(title.strip()) else title, attributes=attributes)]


def _pages(document: pypdfium2.PdfDocument, limits: Limits) -> Iterator[_Page]:
    budget = characters(limits)
    for number in page_numbers(document, limits):
        if (page := page_at(document, number)) is None:
            yield _Page([], 0.0, 0.0, [], False)
            continue
        try:
            found = runs(page, budget)
            yield _Page(found, *turn(page)[1:], list(beside(page, number)), not found and pictured(page))
        finally:
            page.close()


def _recognised(document: pypdfium2.PdfDocument, pages: Sequence[_Page], recognise: Recognise) -> list[str]:
    """Pages that are pictures get the lines that OCR sees on them. Why some do not, each reason once."""
    scanned = [number for number, page in enumerate(pages, 1) if page.scanned]
    scales: list[float] = []  # points of a pixel, of the pictures so far
    reasons: dict[str, None] = {}

    def pictures() -> Iterator[bytes]:
        for number in scanned:
            shown = document[number - 1]
            try:
                png, width = for_ocr(shown)
            finally:
                shown.close()
            scales.append(pages[number - 1].width / width)
            yield png

    told = recognise(len(scanned), pictures()) if scanned else iter(())
    for at, (number, words) in enumerate(zip(scanned, told, strict=True)):
        if isinstance(words, Unread):
            reasons[words.reason] = None
            continue
        page = pages[number - 1]
        page.runs, page.scanned, page.recognised = ocr.lines(words, scales[at]), False, True
    return list(reasons)


def _needs_ocr(reasons: Sequence[str]) -> ParseError:
    why = "; ".join(reasons) or "it has to be recognised first, and this server has no OCR"
    return ParseError("needs_ocr", f"its pages are pictures of text (a scan): {why}")


def _write(builder: Builder, pages: Sequence[_Page], outline: Mapping[int, Mapping[str, int]]) -> None:
    furniture = Furniture()
    for page in pages:
        furniture.see(page.runs, page.height)
    texts = [furniture.without(page.runs, page.height) for page in pages]
    words = Words(run.text for text in texts for run in text)
    writer = Writer(builder, styles((run for text in texts for run in text), outline), words)
    for number, (page, text) in enumerate(zip(pages, texts, strict=True), 1):
        writer.write(ordered(text), number, page.height)
        for each in page.beside:
            builder.paragraph(each.text, each.kind, each.place)


def _warn(builder: Builder, pages: Sequence[_Page], reasons: Sequence[str], files: Sequence[str]) -> None:
    recognised = [number for number, page in enumerate(pages, 1) if page.recognised]
    scanned = [number for number, page in enumerate(pages, 1) if page.scanned]
    damaged = [number for number, page in enumerate(pages, 1) if not page.height]
    if scanned:
        why = f" ({'; '.join(reasons)})" if reasons else ""
        builder.warn(f"pictures of text that were not recognised: {_named(scanned)}{why}")
    if damaged:
        builder.warn(f"damaged and left out: {_named(damaged)}")
    if recognised:
        builder.warn(f"recognised by OCR, with its mistakes: {_named(recognised)}")
    if files:
        builder.warn(f"files inside it were not read: {', '.join(files)}")


def _named(pages: Sequence[int]) -> str:
    """page 3; pages 1-4, 7"""
    spans: list[list[int]] = []
    for page in pages:
        if spans and spans[-1][1] == page - 1:
            spans[-1][1] = page
        else:
            spans.append([page, page])
    shown = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans[:20])
    return f"page{'s' if len(pages) > 1 else ''} {shown}{' …' if len(spans) > 20 else ''}"


def _outline(document: pypdfium2.PdfDocument) -> dict[int, dict[str, int]]:
    """page -> title, folded -> level from 1."""
    found: dict[int, dict[str, int]] = {}
    for number, bookmark in enumerate(document.get_toc(max_depth=8)):
        if number >= _OUTLINE:
            break
        destination = bookmark.get_dest()
        page = destination.get_index() if destination else None
        if page is not None and (title := folded(bookmark.get_title())):
            found.setdefault(page + 1, {})[title] = bookmark.level + 1
    return found


def _iso(date: str) -> str:
    """A PDF's date in ISO 8601; "" where it is none."""
    if not (found := _DATE.match(date)):
        return ""
    year, month, day, hour, minute, second, sign, off_hours, off_minutes = found.groups()
    zone = f"{sign}{off_hours}:{off_minutes or '00'}" if sign else "+00:00"
    written = f"{year}-{month}-{day}T{hour or '00'}:{minute or '00'}:{second or '00'}{zone}"
    try:
        return datetime.fromisoformat(written).isoformat()
    except ValueError:
        return ""
