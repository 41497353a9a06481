import pytest

from retrieval.parsing import ParseError, parse
from retrieval.parsing.formats import FORMATS, detect


@pytest.mark.parametrize(
    ("filename", "media_type", "expected"),
    [
        ("a.md", "", "Markdown"),
        ("A.HTML", "application/octet-stream", "HTML"),
        ("faq.csv", "application/vnd.ms-excel", "CSV"),
        ("corpus.jsonl", "", "JSONL"),
        ("notes.txt", "text/plain; charset=utf-8", "text"),
        ("README", "", "text"),
        ("page", "text/html; charset=utf-8", "HTML"),
        ("setup.py", "", "source code"),
    ],
)
def test_the_name_decides_and_then_the_media_type(filename: str, media_type: str, expected: str) -> None:
    assert detect(filename, media_type).name == expected


@pytest.mark.parametrize(
    ("filename", "media_type", "named"),
    [
        ("report.pdf", "application/pdf", ".pdf"),
        ("문서.hwp", "", ".hwp"),
        ("data.xml", "text/plain", ".xml"),
        ("blob", "image/png", "image/png"),
        ("random.bin", "application/octet-stream", ".bin"),
    ],
)
def test_an_unknown_type_is_refused_by_name_with_what_is_supported(filename: str, media_type: str, named: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(b"anything", filename, media_type)
    assert refused.value.code == "unsupported_file"
    assert named in refused.value.message
    assert "Markdown" in refused.value.message


@pytest.mark.parametrize("filename", ["a.txt", "a.md", "a.html", "a.csv", "a.jsonl"])
@pytest.mark.parametrize("content", [b"", b" \n\t \r\n", "\ufeff\n".encode()])
def test_an_empty_file_says_that_it_is_empty(filename: str, content: bytes) -> None:
    with pytest.raises(ParseError) as refused:
        parse(content, filename)
    assert refused.value.code == "empty_file"


@pytest.mark.parametrize("content", [b"<html><body></body></html>", b"<script>let a = 1;</script>"])
def test_a_file_without_text_says_that_it_holds_none(content: bytes) -> None:
    with pytest.raises(ParseError) as refused:
        parse(content, "a.html")
    assert refused.value.code == "empty_file"


def test_no_two_formats_claim_the_same_name() -> None:
    suffixes = [suffix for format in FORMATS for suffix in format.suffixes]
    assert len(suffixes) == len(set(suffixes))
