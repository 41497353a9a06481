"""What a child sends of one page, checked before anyone else sees it: a PNG in the one form that ours writes, words."""

import math
import struct
import zlib
from typing import Any

import orjson

from retrieval.places import Box, TextLayer, Word
from retrieval.sandbox.frames import Garbage

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3}  # by colour type: grey, red-green-blue
_SIDE = 20_001  # pixels
_PIXELS = 16_100_000
MOST = 60_000_000  # bytes of a picture, and of a page's words


def checked(png: bytes) -> tuple[int, int]:
    """Width and height, in pixels. Raises Garbage where it is not exactly a header, one stream of whole rows and an
    end: whoever opens it meets nothing else.
    """
    if len(png) > MOST or png[:8] != _SIGNATURE:
        raise Garbage("no picture")
    header, at = _chunk(png, 8, b"IHDR")
    pixels, at = _chunk(png, at, b"IDAT")
    end, at = _chunk(png, at, b"IEND")
    if len(header) != 13 or end or at != len(png):
        raise Garbage("a picture with something else in it")
    width, height, *form = struct.unpack(">IIBBBBB", header)
    if form[0] != 8 or form[1] not in _CHANNELS or any(form[2:]):
        raise Garbage("a picture of another form")
    if not (0 < width <= _SIDE and 0 < height <= _SIDE and width * height <= _PIXELS):
        raise Garbage("a picture of such a size")
    _rows(pixels, width * _CHANNELS[form[1]] + 1, height)
    return width, height


def _chunk(png: bytes, at: int, kind: bytes) -> tuple[memoryview, int]:
    """Its data, and where the next one begins."""
    if len(png) < at + 12 or png[at + 4 : at + 8] != kind:
        raise Garbage("a picture of another form")
    end = at + 8 + int.from_bytes(png[at : at + 4], "big")
    if end + 4 > len(png) or zlib.crc32(memoryview(png)[at + 4 : end]) != int.from_bytes(png[end : end + 4], "big"):
        raise Garbage("a damaged picture")
    return memoryview(png)[at + 8 : end], end + 4


def _rows(pixels: memoryview, row: int, height: int) -> None:
    """Exactly so many, each unfiltered."""
    unpacking = zlib.decompressobj()
    try:
        found = unpacking.decompress(pixels, row * height + 1)
    except zlib.error:
        raise Garbage("a damaged picture") from None
    if len(found) != row * height or not unpacking.eof or unpacking.unused_data or any(found[::row]):
        raise Garbage("a picture of another size")


def packed_layer(layer: TextLayer) -> bytes:
    words = [
        [text.encode(errors="replace").decode(), *(round(value, 2) for value in box)]  # orjson takes no lone surrogates
        for text, box in layer.words
    ]
    return orjson.dumps([layer.pages, layer.width, layer.height, words])


def unpacked_layer(payload: bytes) -> TextLayer:
    """Raises Garbage."""
    try:
        pages, width, height, words = orjson.loads(payload)
        layer = TextLayer(_whole(pages), _length(width), _length(height), [_word(*each) for each in words])
    except (ValueError, TypeError, OverflowError) as error:
        raise Garbage(str(error)[:200]) from None
    return layer


def _word(text: Any, x0: Any, y0: Any, x1: Any, y1: Any) -> Word:
    if type(text) is not str or not text:
        raise Garbage("a word")
    return Word(text, Box(*map(_length, (x0, y0, x1, y1))))


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 < value < 1 << 31:
        raise Garbage("pages")
    return int(value)


def _length(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise Garbage("a length")
    return float(value)
