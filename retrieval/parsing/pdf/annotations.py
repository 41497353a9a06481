"""What lies on a page beside its text: form fields with their values, comments, pictures, attached files."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pypdfium2
from pypdfium2 import raw

from models.base import BlockKind
from retrieval.parsing.pdf.glyphs import turn
from retrieval.places import Box, Region

_MOST = 10_000  # of a page
_LONGEST = 100_000  # UTF-16 bytes of one
_FIELDS = (raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX)
_COMMENTS = frozenset({
    raw.FPDF_ANNOT_TEXT, raw.FPDF_ANNOT_HIGHLIGHT, raw.FPDF_ANNOT_UNDERLINE, raw.FPDF_ANNOT_SQUIGGLY,
    raw.FPDF_ANNOT_STRIKEOUT, raw.FPDF_ANNOT_SQUARE, raw.FPDF_ANNOT_CIRCLE, raw.FPDF_ANNOT_CARET, raw.FPDF_ANNOT_INK,
    raw.FPDF_ANNOT_STAMP, raw.FPDF_ANNOT_LINE, raw.FPDF_ANNOT_POLYGON, raw.FPDF_ANNOT_POLYLINE,
})  # fmt: skip
_PAGE_SIZED = 0.4  # of the page's area


@dataclass(frozen=True, slots=True)
class Beside:
    kind: BlockKind
    text: str
    place: Region


def beside(page: pypdfium2.PdfPage, number: int) -> Iterator[Beside]:
    """Fields as "name: value", free text as a text box, comments; hidden ones left out. number: of the page."""
    placed, _, _ = turn(page)
    form = page.formenv.raw if page.formenv else None
    for index in range(min(_MOST, max(0, raw.FPDFPage_GetAnnotCount(page.raw)))):
        annotation = raw.FPDFPage_GetAnnot(page.raw, index)
        if not annotation:
            continue
        try:
            if raw.FPDFAnnot_GetFlags(annotation) & (raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW):
                continue
            kind, text = _said(annotation, form)
            rect = raw.FS_RECTF()
            known = raw.FPDFAnnot_GetRect(annotation, rect)
        finally:
            raw.FPDFPage_CloseAnnot(annotation)
        if text.strip():
            box = Box(*placed(rect.left, rect.bottom, rect.right, rect.top)) if known else None
            yield Beside(kind, text, Region(0, 0, page=number, box=box))


def _said(annotation: raw.FPDF_ANNOTATION, form: raw.FPDF_FORMHANDLE | None) -> tuple[BlockKind, str]:
    subtype = raw.FPDFAnnot_GetSubtype(annotation)
    if subtype == raw.FPDF_ANNOT_WIDGET and form:
        return "prose", _field(annotation, form)
    if subtype == raw.FPDF_ANNOT_FREETEXT or subtype in _COMMENTS:
        text = _wide(lambda buffer, size: raw.FPDFAnnot_GetStringValue(annotation, b"Contents", buffer, size))
        return ("text_box" if subtype == raw.FPDF_ANNOT_FREETEXT else "comment"), text
    return "prose", ""


def _field(annotation: raw.FPDF_ANNOTATION, form: raw.FPDF_FORMHANDLE) -> str:
    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in _FIELDS:
        value = _wide(lambda buffer, size: raw.FPDFAnnot_GetFormFieldValue(form, annotation, buffer, size))
    elif kind in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
        checked = raw.FPDFAnnot_IsChecked(form, annotation)
        value = (
            _wide(lambda b, size: raw.FPDFAnnot_GetFormFieldExportValue(form, annotation, b, size)) if checked else ""
        )
    else:
        return ""
    if not value.strip():
        return ""
    name = _wide(lambda buffer, size: raw.FPDFAnnot_GetFormFieldAlternateName(form, annotation, buffer, size))
    name = name or _wide(lambda buffer, size: raw.FPDFAnnot_GetFormFieldName(form, annotation, buffer, size))
    return f"{name}: {value}" if name else value


def _wide(call: Callable[[Any, int], int]) -> str:
    """A text of PDFium's in UTF-16, asked for its length first."""
    length = int(call(None, 0))
    if not 2 < length <= _LONGEST:
        return ""
    buffer = ctypes.create_string_buffer(length)
    call(ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), length)
    return buffer.raw[: length - 2].decode("utf-16-le", "replace")


def pictured(page: pypdfium2.PdfPage) -> bool:
    """Whether pictures cover so much of the page that it may be a scan."""
    width, height = page.get_size()
    covered = 0.0
    for item in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        left, bottom, right, top = item.get_bounds()
        covered += max(0.0, right - left) * max(0.0, top - bottom)
    return bool(covered >= _PAGE_SIZED * width * height)


def attached(document: pypdfium2.PdfDocument) -> list[str]:
    """Names of the files in it; the first of them."""
    count = min(20, max(0, document.count_attachments()))
    return [document.get_attachment(index).get_name() for index in range(count)]
