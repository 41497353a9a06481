import os

import pytest

from retrieval.parsing import Limits, ParseError
from retrieval.parsing.pdf import ocr, parser, rendering
from retrieval.places import place_of
from tests.retrieval.parsing.pdf.files import OK, REAL, pdf, said

TSV = "\t".join("level page_num block_num par_num line_num word_num left top width height conf text".split())  # noqa: SIM905
ALL = os.environ.get("RAGPOD_REQUIRE") == "all"
TESSERACT = pytest.mark.skipif(not ocr.available() and not ALL, reason="tesseract is not installed")


def word(text: str, left: int, width: int, line: int = 1, confidence: float = 90) -> str:
    return f"5\t1\t1\t1\t{line}\t1\t{left}\t{100 * line}\t{width}\t40\t{confidence}\t{text}"


def test_words_become_lines_with_boxes_and_korean_is_put_together() -> None:
    rows = [word("설", 100, 40), word("치", 145, 40), word("방법", 205, 80), word("dirt", 400, 50, confidence=3)]
    found = ocr.lines("\n".join([TSV, *rows, word("Two words", 100, 200, 2)]), 0.5)
    assert [line.text for line in found] == ["설치 방법", "Two words"]
    assert found[0].box == (50, 50, 142.5, 70)
    assert all(len(line.edges) == 4 * len(line.text) for line in found)


def test_what_was_recognised_is_read_like_text_and_said() -> None:
    content = pdf(said(60, 700, "Text of the first page."), "")
    recognised = {2: ocr.lines("\n".join([TSV, word("Recognised", 100, 300)]), 0.5)}
    document = parser.parse(content, "a.pdf", Limits(), recognised)[0]
    at = document.text.index("Recognised")
    assert place_of(document.regions, at, at + 10).pages[0].page == 2
    assert "OCR" in document.warning
    assert "page 2" in document.warning


def test_without_tesseract_the_scan_still_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ParseError) as caught:
        ocr.recognise([1], lambda page: b"", lambda page: 600.0)
    assert caught.value.code == "needs_ocr"


@TESSERACT
def test_no_picture_is_a_failure() -> None:
    with pytest.raises(ParseError) as caught:
        ocr.recognise([1], lambda page: b"no picture", lambda page: 600.0)
    assert caught.value.code == "parser_failed"


@REAL
@TESSERACT
def test_a_page_of_a_real_scan() -> None:
    content = next(OK.glob("*scan.pdf")).read_bytes()
    width = rendering.words(content, 1).width
    found = ocr.recognise([1], lambda page: rendering.render(content, page, ocr.WIDTH), lambda page: width)
    document = parser.parse(content, "scan.pdf", Limits(), found)[0]
    assert "COMPREHENSIVE MEDICAL REPORT" in document.text
    assert "pages 2-3" in document.warning
    at = document.text.index("COMPREHENSIVE")
    assert place_of(document.regions, at, at + 10).pages[0].boxes
