import struct
import zlib

import pytest

from retrieval.parsing.pdf import rendering
from tests.retrieval.parsing.pdf.files import pdf, said

PAGES = pdf(said(72, 700, "Hello there"), "0 0 300 400 re f\n")


def size(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def pixels(png: bytes) -> bytes:
    at = png.index(b"IDAT")
    return zlib.decompress(png[at + 4 : at + 4 + int.from_bytes(png[at - 4 : at], "big")])


def test_a_page_as_a_png() -> None:
    png = rendering.render(PAGES, 2, 60)
    assert size(png) == (60, 80)
    rows = pixels(png)
    assert len(rows) == 80 * (1 + 3 * 60)
    assert rows[1:4] == b"\xff\xff\xff"  # its upper left corner is white, its lower left one black
    assert rows[79 * 181 + 1 :][:3] == b"\0\0\0"


def test_its_size_is_capped_and_its_number_checked() -> None:
    assert size(rendering.render(PAGES, 1, 50_000))[0] <= 4000
    with pytest.raises(IndexError):
        rendering.render(PAGES, 3, 100)
    with pytest.raises(IndexError):
        rendering.words(PAGES, 0)


def test_its_words_with_boxes() -> None:
    layer = rendering.words(PAGES, 1)
    assert (layer.width, layer.height) == (600, 800)
    assert [word.text for word in layer.words] == ["Hello", "there"]
    assert layer.words[0].box.x1 < layer.words[1].box.x0
    assert layer.pages == 2
