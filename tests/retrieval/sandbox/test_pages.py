"""What a child sends of a page: only our own form of it passes."""

import struct
import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.parsing.pdf import rendering
from retrieval.places import Box, TextLayer, Word
from retrieval.sandbox.frames import Garbage
from retrieval.sandbox.pages import checked, packed_layer, unpacked_layer
from tests.retrieval.parsing.pdf.files import pdf, said

PNG = rendering.render(pdf(said(72, 700, "Hello")), 1, 40)
LENGTHS = st.floats(-1e6, 1e6)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *, depth: int = 8, colour: int = 0, more: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + more + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_a_page_and_a_grey_picture_pass() -> None:
    assert checked(PNG)[0] == 40
    assert checked(png(2, 2, b"\0ab\0cd")) == (2, 2)


@pytest.mark.parametrize(
    "picture",
    [
        b"",
        b"GIF89a",
        PNG[:-1],
        PNG + b"\0",
        PNG[:50] + b"\0" + PNG[51:],
        png(2, 2, b"\0ab\0c"),  # too short
        png(2, 2, b"\0ab\0cd\0ef"),  # too long
        png(2, 2, b"\1ab\0cd"),  # filtered
        png(2, 2, b"\0ab\0cd", depth=16),
        png(2, 2, b"\0ab\0cd", colour=3),  # a palette
        png(0, 2, b""),
        png(20_000, 20_000, b"\0" * 1000),  # 400 million pixels
        png(2, 2, b"\0ab\0cd", more=chunk(b"tEXt", b"a\0b")),
        png(4000, 4000, bytes(4001 * 3999)),
    ],
)
def test_any_other_picture_is_garbage(picture: bytes) -> None:
    with pytest.raises(Garbage):
        checked(picture)


@given(at=st.integers(0, len(PNG) - 1), byte=st.integers(0, 255))
def test_no_changed_byte_passes(at: int, byte: int) -> None:
    changed = PNG[:at] + bytes([byte]) + PNG[at + 1 :]
    if changed != PNG:
        with pytest.raises(Garbage):
            checked(changed)


@given(
    pages=st.integers(1, 1000),
    words=st.lists(st.tuples(st.text(min_size=1), LENGTHS, LENGTHS, LENGTHS, LENGTHS)),
)
def test_words_come_as_they_are(pages: int, words: list[tuple[str, float, float, float, float]]) -> None:
    layer = TextLayer(pages, 600, 800, [Word(text, Box(*box)) for text, *box in words])
    found = unpacked_layer(packed_layer(layer))
    assert [word.text for word in found.words] == [text for text, *_ in words]
    for one, (_, *box) in zip(found.words, words, strict=True):
        assert one.box == pytest.approx(box, abs=0.01)


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "{}",
        "[1, 600, 800]",
        "[0, 600, 800, []]",
        '["1", 600, 800, []]',
        "[1, 1e999, 800, []]",
        "[1, 600, 800, [[]]]",
        '[1, 600, 800, [["", 0, 0, 1, 1]]]',
        "[1, 600, 800, [[7, 0, 0, 1, 1]]]",
        '[1, 600, 800, [["a", 0, 0, 1, "b"]]]',
        '[1, 600, 800, [["a", 0, 0, 1, true]]]',
        "[true, 600, 800, []]",
    ],
)
def test_other_words_are_garbage(payload: str) -> None:
    with pytest.raises(Garbage):
        unpacked_layer(payload.encode())


def test_surrogates_do_not_stop_a_page() -> None:
    assert orjson.loads(packed_layer(TextLayer(1, 1, 1, [Word("\ud800", Box(0, 0, 1, 1))])))[3]
