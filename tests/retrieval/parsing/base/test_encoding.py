import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.parsing import ParseError, parse
from retrieval.parsing.base.encoding import clean, decode

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
        (b"PK\x03\x04....", "zip"),
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


@pytest.mark.parametrize("hidden", ["\u200b", "\u2060", "\ufeff", "\u202e", "\u2066", "\u00ad", "\U000e0041", "\u200d"])
@pytest.mark.parametrize(
    ("filename", "source"),
    [
        ("a.txt", "%s전액 환%s불"),
        ("a.md", "# 안%s내\n\n전액 환%s불"),
        ("a.html", "<title>안%s내</title><p>전액 환%s불"),
        ("a.csv", "제%s목,본문,태%s그\n안%s내,전액 환%s불,값%s"),
        ("a.tsv", '제목\t본문\n안%s내\t%s"전액 환%s불"'),
        ("a.jsonl", '{"제%s목": "안%s내", "본문": "전액 환%s불", "태%s그": "값%s"}'),
        ("안%s내.txt", "환불"),
    ],
)
def test_no_format_lets_through_what_nobody_sees(hidden: str, filename: str, source: str) -> None:
    for document in parse(source.replace("%s", hidden).encode(), filename.replace("%s", hidden)):
        headings = [heading for section in document.sections for heading in section.headings]
        written = [document.text, document.title, *headings, *document.attributes, *document.attributes.values()]
        assert not any(hidden in str(each) for each in written)
        assert "환불" in document.text
        assert document.title in ("안내", "a")


@pytest.mark.parametrize("written", ["&#8203;", "&ZeroWidthSpace;", "&shy;", "&#x202e;"])
def test_html_hides_nothing_in_entities(written: str) -> None:
    assert parse(f"<p>re{written}fund</p>".encode(), "a.html")[0].text == "refund"


def test_json_hides_nothing_in_escapes() -> None:
    (document,) = parse(b'{"_id": "a\\u200b", "text": "re\\u00ad\\nfund\\u202e"}', "a.jsonl")
    assert (document.external_id, document.text) == ("a", "refund")


@pytest.mark.parametrize("filename", ["a.txt", "a.md"])
def test_a_word_broken_at_the_end_of_a_line_is_whole(filename: str) -> None:
    (document,) = parse("The infor\u00ad\nmation desk\nis open.".encode(), filename)
    assert document.text == "The information desk\nis open."


def test_a_quoted_cell_joins_its_broken_words_and_rows_stay_apart() -> None:
    documents = parse('title,text\na,"infor\u00ad\nmation"\nb,end\u00ad\nc,next\n'.encode(), "a.csv")
    assert [document.text for document in documents] == ["information", "end", "next"]


def test_offsets_are_those_of_the_text_without_them() -> None:
    (document,) = parse("\u200b첫 쪽\u200b\f둘\u200b째 쪽".encode(), "a.txt")
    assert [document.text[section.start :][:2] for section in document.sections] == ["첫 ", "둘째"]


def test_the_colours_of_a_log_are_no_text() -> None:
    assert parse(b"\x1b[1;31mERROR\x1b[0m \x1b]0;title\x07disk full \x1b[K\x1b", "a.log")[0].text.strip() == (
        "ERROR disk full"
    )


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "Le café était fermé à midi. Où était-elle allée? Nous avons déjà mangé près de l'hôtel.\n"),
        ("cp932", "環境変数を設定してから、もう一度実行してください。それでもうまくいかないときは連絡してください。\n"),
        ("cp949", "환경 변수를 설정한 다음 다시 실행해 주세요. 가격은 12,500원이며 ① 배송 ② 반품 순서입니다.\n"),
        ("cp949", "가"),
    ],
)
def test_a_code_page_is_known_by_its_language(encoding: str, text: str) -> None:
    assert decode((text * 8).encode(encoding)) == text * 8
