"""Scans made on the spot: the pages of a PDF with text, drawn, and put as pictures into one without."""

import zlib
from collections.abc import Sequence

import pypdfium2

from tests.retrieval.parsing.pdf.files import pdf, said

PLACES = [(60.0, 700.0), (60.0, 660.0)]  # of a page's two lines, from its lower left corner, 600 x 800 points
LINES = ("Parcels are refunded after thirty days", "Write to the help desk in Busan")
BLANK = ""


def text_page(lines: Sequence[str] = LINES) -> str:
    return "".join(said(x, y, line, 20) for (x, y), line in zip(PLACES, lines, strict=False))


def many(count: int) -> list[str]:
    """Pages of which no two are alike."""
    return [text_page([f"This is page number {number}"]) for number in range(1, count + 1)]


def scan(*pages: str, plain: Sequence[str] = ()) -> bytes:
    """pages: content streams, as of `pdf`; each becomes a picture that fills its page. plain: pages that stay text."""
    return scan_of(pdf(*pages), range(len(pages)), plain=plain)


def scan_of(content: bytes, numbers: Sequence[int], *, dots: int = 150, plain: Sequence[str] = ()) -> bytes:
    """Those pages (from 0) of a PDF, all as large as the first. dots: of the scanner, an inch."""
    pictures, width, height = [], 0.0, 0.0
    document = pypdfium2.PdfDocument(content)
    for number in numbers:
        page = document[number]
        width, height = (width, height) if width else page.get_size()
        bitmap = page.render(scale=dots / 72, grayscale=True)
        rows = memoryview(bitmap.buffer).cast("B")
        grey = b"".join(rows[n * bitmap.stride : n * bitmap.stride + bitmap.width] for n in range(bitmap.height))
        pictures.append(_image(bitmap.width, bitmap.height, grey))
    names = " ".join(f"/P{n} {10 + n} 0 R" for n in range(len(pictures)))
    drawn = [f"q {width} 0 0 {height} 0 0 cm /P{n} Do Q" for n in range(len(pictures))]
    resources = f"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> /XObject << {names} >> >>"
    return pdf(*drawn, *plain, page=f"/MediaBox [0 0 {width} {height}] {resources}", objects=pictures)


def _image(width: int, height: int, grey: bytes) -> str:
    packed = zlib.compress(grey).hex() + ">"
    form = f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /DeviceGray /BitsPerComponent 8"
    return f"<< {form} /Filter [/ASCIIHexDecode /FlateDecode] /Length {len(packed)} >>\nstream\n{packed}\nendstream"
