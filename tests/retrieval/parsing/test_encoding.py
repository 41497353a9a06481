import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.parsing import ParseError, parse
from retrieval.parsing.encoding import clean

TEXT = "환불은 사흘이 걸립니다. Refunds take 3 days."


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        TEXT.encode("cp949"),
        TEXT.encode("euc-kr"),
    ],
    ids=["utf-8", "bom", "utf-16", "utf-16-be", "utf-32", "cp949", "euc-kr"],
)
def test_korean_is_read_in_every_encoding_it_comes_in(content: bytes) -> None:
    assert parse(content, "a.txt")[0].text == TEXT


def test_a_korean_windows_csv_is_read() -> None:
    content = "질문,답변\r\n배송은?,이틀 걸립니다\r\n".encode("cp949")
    assert parse(content, "faq.csv")[0].text == "배송은?\n이틀 걸립니다"


def test_an_html_file_is_read_in_the_encoding_it_declares() -> None:
    content = '<meta charset="windows-1252"><p>café'.encode("cp1252")
    assert parse(content, "a.html")[0].text == "café"


def test_broken_text_is_refused_and_the_byte_named() -> None:
    with pytest.raises(ParseError, match="byte 3") as refused:
        parse(b"caf\xe9 ok", "a.txt")
    assert refused.value.code == "invalid_file"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"PK\x03\x04....", "ZIP"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Office"),
        (b"abc\x00def", "NUL"),
        (bytes(range(1, 9)) * 20, "control characters"),
    ],
)
@pytest.mark.parametrize("filename", ["a.txt", "a.csv", "a.md", "a.html", "a.jsonl"])
def test_a_binary_under_a_texts_name_is_refused(content: bytes, named: str, filename: str) -> None:
    with pytest.raises(ParseError, match=named) as refused:
        parse(content, filename)
    assert refused.value.code == "invalid_file"


def test_decomposed_hangul_is_composed_and_newlines_are_one_kind() -> None:
    assert clean("서울\r\n둘\r셋\ud800\x01") == "서울\n둘\n셋? "


@given(st.binary(max_size=300), st.sampled_from(["a.txt", "a.md", "a.html", "a.csv", "a.jsonl", "a"]))
def test_any_bytes_give_documents_or_a_parse_error(content: bytes, filename: str) -> None:
    documents, message = [], ""
    try:
        documents = parse(content, filename)
    except ParseError as error:
        message = str(error)
    assert bool(documents) != bool(message)
    for document in documents:
        assert document.text.strip()
        assert document.text.encode()
        starts = [section.start for section in document.sections]
        assert starts == sorted(starts)
        assert all(0 <= start <= len(document.text) for start in starts)
