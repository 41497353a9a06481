import io
import zipfile
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import Limits, ParseError, parse
from retrieval.parsing.formats import FORMATS, detect
from tests.retrieval.parsing.sound import read_or_refused
from tests.shared import HOSTILE, needs_shared


def zipped(members: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


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
    assert detect(b"text", filename, media_type, Limits())[0].name == expected


@pytest.mark.parametrize(
    ("filename", "media_type", "named"),
    [
        ("report.key", "application/x-iwork-keynote-sffkey", ".key"),
        ("문서.gul", "", ".gul"),
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


@pytest.mark.parametrize(
    ("content", "filename", "limits"),
    [
        (b"", "name.txt", Limits()),
        (b"\x00\x01", "name.txt", Limits()),
        (b"%PDF-1.7", "name.csv", Limits()),
        (b"caf\xe9 ok", "name.md", Limits()),
        (b"text", "name.bin", Limits()),
        (b"<script></script>", "name.html", Limits()),
        (b"{broken", "name.jsonl", Limits()),
        (b"[1]", "name.jsonl", Limits()),
        (b"id,text\n1,a\n1,b\n", "name.csv", Limits()),
        (b"a,b,c\n", "name.csv", Limits(cells=2)),
        (b"a\n\fb", "name.txt", Limits(pages=1)),
        (b"some text", "name.txt", Limits(bytes=3)),
        (b"some text", "name.html", Limits(characters=3)),
    ],
)
def test_no_reason_names_the_file_which_is_named_beside_it(content: bytes, filename: str, limits: Limits) -> None:
    with pytest.raises(ParseError) as refused:
        parse(content, filename, limits=limits)
    assert "name" not in refused.value.message


@pytest.mark.parametrize(
    ("content", "filename", "expected", "told"),
    [
        (b"%PDF-1.7\n", "a.pdf", "PDF", ""),
        (b"\xef\xbb\xbf%PDF-1.7\n", "a.docx", "PDF", "it is called .docx and is read as what it is: PDF"),
        (b"%PDF-1.7\n", "a", "PDF", ""),
        (zipped({"word/document.xml": b""}), "a.zip", "Word", "it is called .zip and is read as what it is: Word"),
        (zipped({"ppt/presentation.xml": b""}), "a.pptx", "PowerPoint", ""),
        (zipped({"xl/workbook.xml": b""}), "a.xlsx", "Excel", ""),
        (zipped({"mimetype": b"application/vnd.oasis.opendocument.text"}), "a.odt", "OpenDocument", ""),
        (zipped({"mimetype": b"application/epub+zip"}), "a.epub", "EPUB", ""),
        (zipped({"mimetype": b"application/hwp+zip"}), "a.hwpx", "Hangul", ""),
        (zipped({"a.txt": b"x"}), "a.zip", "zip", ""),
        (b"{\\rtf1 x}", "a.doc", "RTF", ""),
        (b'<?xml version="1.0"?><HWPML Version="2.8">', "a.hwp", "Hangul", ""),
        (b"<html><table><tr><td>1", "report.xls", "HTML", "it is called .xls and is read as what it is: HTML"),
    ],
)
def test_the_content_decides_where_it_can(content: bytes, filename: str, expected: str, told: str) -> None:
    found, warning = detect(content, filename, "", Limits())
    assert (found.name, warning) == (expected, told)


@pytest.mark.parametrize(
    ("content", "filename", "code", "said"),
    [
        (b"\x89PNG\r\n\x1a\n", "a.png", "unsupported_file", "put it into a PDF"),
        (b"\x80\x04\x95\x00", "faq.pkl", "unsupported_file", "JSON lines"),
        (b"PK\x03\x04broken", "a.docx", "invalid_file", "damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1broken", "a.hwp", "invalid_file", "damaged"),
        (b"only text", "a.pdf", "invalid_file", "no PDF file"),
        (b"only text", "a.docx", "invalid_file", "no Word file"),
    ],
)
def test_what_is_recognised_and_not_read_says_what_to_do(content: bytes, filename: str, code: str, said: str) -> None:
    with pytest.raises(ParseError, match=said) as refused:
        parse(content, filename)
    assert refused.value.code == code


@needs_shared
@pytest.mark.parametrize(
    ("filename", "code"),
    [
        ("poi_protected_agile.docx", "encrypted_file"),
        ("poi_protected_passtika.xlsx", "encrypted_file"),
        ("markitdown_random.bin", "unsupported_file"),
        ("defusedxml_external_file.xml", "unsupported_file"),
        ("poi_crash-517626e815e0afa9decd0ebb6d1dee63fb9907dd.docx", "invalid_file"),
        ("made_deep.ipynb", "invalid_file"),
        ("made_deep.rtf", "invalid_file"),
    ],
)
def test_hostile_files_are_refused_by_their_code(filename: str, code: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse((HOSTILE / filename).read_bytes(), filename)
    assert refused.value.code == code


@settings(max_examples=200, deadline=None)
@given(
    head=st.sampled_from([b"", b"%PDF-1.7", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf1", b"<html>"]),
    rest=st.binary(max_size=300),
    suffix=st.sampled_from([".txt", ".rtf", ".ipynb", ".eml", ".zip", ".csv", ".md", ".bin", ""]),
)
def test_any_bytes_are_documents_or_one_clear_error(head: bytes, rest: bytes, suffix: str) -> None:
    read_or_refused(head + rest, f"a{suffix}")
