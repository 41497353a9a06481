import io
import zipfile
from collections.abc import Iterable, Iterator

import pytest

from retrieval.parsing import Limits, ParseError, parse
from retrieval.parsing.base.recognition import Recognise, Unread
from retrieval.parsing.pdf import ocr, parser
from retrieval.places import place_of
from tests.retrieval.parsing.pdf.files import pdf, said
from tests.retrieval.parsing.pdf.scans import BLANK, scan, text_page

TSV = "\t".join("level page_num block_num par_num line_num word_num left top width height conf text".split())  # noqa: SIM905


def word(text: str, left: int, width: int, line: int = 1, confidence: float = 90) -> str:
    return f"5\t1\t1\t1\t{line}\t1\t{left}\t{100 * line}\t{width}\t40\t{confidence}\t{text}"


def test_words_become_lines_with_boxes_and_korean_is_put_together() -> None:
    rows = [word("설", 100, 40), word("치", 145, 40), word("방법", 205, 80), word("dirt", 400, 50, confidence=3)]
    found = ocr.lines("\n".join([TSV, *rows, word("Two words", 100, 200, 2)]), 0.5)
    assert [line.text for line in found] == ["설치 방법", "Two words"]
    assert found[0].box == (50, 50, 142.5, 70)
    assert all(len(line.edges) == 4 * len(line.text) for line in found)


def saying(*answers: str | Unread) -> Recognise:
    """As if OCR said that, picture for picture."""

    def recognise(count: int, pictures: Iterable[bytes]) -> Iterator[str | Unread]:
        assert count == len(answers)
        for picture, answer in zip(pictures, answers, strict=True):
            assert picture.startswith(b"\x89PNG")
            yield answer

    return recognise


def seen(text: str) -> str:
    return "\n".join([TSV, word(text, 170, 340)])


def test_what_was_recognised_is_read_like_text_and_said() -> None:
    content = scan(text_page(), text_page())
    (document,) = parser.parse(content, "a.pdf", Limits(), saying(seen("First"), seen("Second")))
    assert document.text.split() == ["First", "Second"]
    assert document.warning == "recognised by OCR, with its mistakes: pages 1-2"
    at = document.text.index("Second")
    (place,) = place_of(document.regions, at, at + 6).pages
    assert place.page == 2
    assert place.boxes[0].x0 == pytest.approx(60, abs=0.1)  # 170 of 1,700 pixels on 600 points
    assert place.boxes[0].x1 == pytest.approx(180, abs=0.1)


def test_pages_with_text_are_not_recognised() -> None:
    (document,) = parser.parse(pdf(said(60, 700, "Text"), "0 0 300 400 re f\n"), "a.pdf", Limits(), saying())
    assert (document.text.strip(), document.warning) == ("Text", "")


def test_a_page_that_is_not_recognised_is_said_with_the_reason() -> None:
    content = scan(text_page(), text_page(), text_page())
    answers = saying(seen("First"), Unread("too slow"), Unread("too slow"))
    (document,) = parser.parse(content, "a.pdf", Limits(), answers)
    assert "not recognised: pages 2-3 (too slow)" in document.warning
    assert "its mistakes: page 1" in document.warning


def test_where_nothing_is_recognised_it_needs_ocr() -> None:
    for recognise, reason in ((None, "no OCR"), (saying(Unread("too slow")), "too slow")):
        with pytest.raises(ParseError, match=reason) as caught:
            parser.parse(scan(text_page()), "a.pdf", Limits(), recognise)
        assert caught.value.code == "needs_ocr"


def test_a_scan_of_nothing_is_empty() -> None:
    with pytest.raises(ParseError) as caught:
        parser.parse(scan(BLANK), "a.pdf", Limits(), saying(TSV))
    assert caught.value.code == "empty_file"


def test_a_scan_within_an_archive_is_recognised_too() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("b/scan.pdf", scan(text_page()))
        archive.writestr("a.txt", "beside it")
    documents = parse(packed.getvalue(), "a.zip", recognise=saying(seen("Packed")))
    assert {each.member: each.text for each in documents} == {"b/scan.pdf": "Packed", "a.txt": "beside it"}
    assert "OCR" in next(each.warning for each in documents if each.member == "b/scan.pdf")
