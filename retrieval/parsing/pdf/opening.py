"""A PDF opened: damaged, locked and readable told apart."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pypdfium2
from pypdfium2 import raw

from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits, within

LOCKED = "it is encrypted: save it without its password and send it again"
_PAGES = 20_000
_HEAD = 1024  # bytes within which the PDF's mark stands, as readers of PDF have it
_ALONE = threading.RLock()  # PDFium is not thread-safe, and a server may parse in its own threads


@contextmanager
def opened(content: bytes) -> Iterator[pypdfium2.PdfDocument]:
    """Raises ParseError encrypted_file, invalid_file; what PDFium raises inside becomes invalid_file."""
    if b"%PDF-" not in content[:_HEAD]:
        raise ParseError("invalid_file", "it is no PDF: its beginning is not a PDF's")
    try:
        with _ALONE:
            document = _document(content)
            try:
                yield document
            finally:
                document.close()
    except pypdfium2.PdfiumError as error:
        raise ParseError("invalid_file", f"it is a damaged PDF: {error}") from None


def page_numbers(document: pypdfium2.PdfDocument, limits: Limits) -> range:
    """From 1. Raises ParseError too_large."""
    within(min(limits.pages, _PAGES), len(document), "pages")
    return range(1, len(document) + 1)


def page_at(document: pypdfium2.PdfDocument, number: int) -> pypdfium2.PdfPage | None:
    """None where it is damaged."""
    try:
        return document[number - 1]
    except pypdfium2.PdfiumError:
        return None


def _document(content: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if error.err_code != raw.FPDF_ERR_PASSWORD:
            raise
        return pypdfium2.PdfDocument(_rewritten(content))


def _rewritten(content: bytes) -> bytes:
    """Without its encryption, where the empty password opens it and PDFium does not know that."""
    from pypdf import PdfReader, PdfWriter

    try:
        reader = PdfReader(io.BytesIO(content))
        if not reader.is_encrypted:
            raise ParseError("invalid_file", "it is a damaged PDF")
        if not reader.decrypt(""):
            raise ParseError("encrypted_file", LOCKED)
        plain = io.BytesIO()
        PdfWriter(clone_from=reader).write(plain)
        return plain.getvalue()
    except ParseError:
        raise
    except (Exception, RecursionError):  # pypdf raises whatever the damage makes it
        if b"/Encrypt" not in content:
            raise ParseError("invalid_file", "it is a damaged PDF") from None
        raise ParseError("encrypted_file", LOCKED) from None
