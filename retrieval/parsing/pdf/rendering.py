"""One page as a picture, and its text layer: for who shows a file beside what was found in it, and for OCR."""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pypdfium2

from retrieval.parsing.base.limits import Limits, characters
from retrieval.parsing.pdf.glyphs import runs, turn
from retrieval.parsing.pdf.opening import opened
from retrieval.places import Box, TextLayer, Word

_PIXELS = 16_000_000
_WIDTH = 4000  # pixels
_LOWEST, _DOTS, _HIGHEST = 1700, 200, 2600  # for OCR: pixels, dots an inch (1700 are 200 of A4), pixels
_WORD = re.compile(r"\S+")


def render(content: bytes, page: int, width: int) -> bytes:
    """A PNG of one page (from 1), `width` pixels wide, or less: 4,000 wide and 16 million pixels are the most.

    Raises ParseError encrypted_file, invalid_file; IndexError where there is no such page.
    """
    with _page(content, page) as (shown, _):
        return _drawn(shown, width)[0]


def for_ocr(page: pypdfium2.PdfPage) -> tuple[bytes, int]:
    """A grey PNG of it, and its width in pixels; b"" where it cannot be drawn."""
    try:
        return _drawn(page, min(max(_LOWEST, round(page.get_width() / 72 * _DOTS)), _HIGHEST), grey=True)
    except pypdfium2.PdfiumError:
        return b"", 1


def words(content: bytes, page: int) -> TextLayer:
    """Of one page (from 1), in the order in which the file draws them. Raises as `render`, and too_large."""
    with _page(content, page) as (shown, pages):
        _, width, height = turn(shown)
        found: list[Word] = []
        for run in runs(shown, characters(Limits())):
            for word in _WORD.finditer(run.text):
                edges = run.edges[4 * word.start() : 4 * word.end()]
                box = Box(min(edges[::4]), min(edges[1::4]), max(edges[2::4]), max(edges[3::4]))
                found.append(Word(word.group(), box))
        return TextLayer(pages, width, height, found)


@contextmanager
def _page(content: bytes, number: int) -> Iterator[tuple[pypdfium2.PdfPage, int]]:
    """The page, and how many there are."""
    with opened(content) as document:
        if not 1 <= number <= len(document):
            raise IndexError(f"it has {len(document)} pages, and no page {number}")
        document.init_forms()
        page = document[number - 1]
        try:
            yield page, len(document)
        finally:
            page.close()


def _drawn(page: pypdfium2.PdfPage, width: int, *, grey: bool = False) -> tuple[bytes, int]:
    points_wide, points_high = page.get_size()
    scale = min(max(1, width), _WIDTH) / max(1.0, points_wide)
    scale = min(scale, (_PIXELS / max(1.0, points_wide * points_high)) ** 0.5, 20_000 / max(1.0, points_high))
    bitmap = page.render(scale=scale, rev_byteorder=True, may_draw_forms=True, grayscale=grey)
    try:
        pixels = memoryview(bitmap.buffer).cast("B")
        return _png(bitmap.width, bitmap.height, pixels, bitmap.stride, bitmap.n_channels), bitmap.width
    finally:
        bitmap.close()


def _png(width: int, height: int, pixels: memoryview, stride: int, channels: int) -> bytes:
    """Of rows of red, green, blue (channels 3), with a byte that says nothing (4), or of grey (1)."""
    rows = bytearray()
    for row in range(height):
        line = pixels[row * stride : row * stride + width * channels]
        rows.append(0)  # no filter
        if channels == 4:
            plain = bytearray(3 * width)
            for colour in range(3):
                plain[colour::3] = line[colour::4]
            rows += plain
        else:
            rows += line
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 4)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
