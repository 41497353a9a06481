import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import ParseError, parse
from retrieval.types import ParsedDocument


def csv(source: str, filename: str = "faq.csv") -> list[ParsedDocument]:
    return parse(source.encode(), filename)


def jsonl(*records: object) -> list[ParsedDocument]:
    return parse("\n".join(json.dumps(record) for record in records).encode(), "corpus.jsonl")


def test_a_beir_corpus_maps_to_titles_texts_ids_and_attributes() -> None:
    (document,) = jsonl({"_id": "d1", "title": "제목", "text": "본문", "metadata": {"lang": "ko", "year": 2024}})
    assert document == ParsedDocument("본문", "제목", "d1", {"lang": "ko", "year": 2024})


@pytest.mark.parametrize(
    "header", ["question,answer", "Question,ANSWER", " 질문 ,답변", "\ufeff질문,답변", "category,질문,답변"]
)
def test_a_question_and_its_answer_are_the_text_and_the_question_the_title(header: str) -> None:
    row = '"환불, 언제?",사흘' if header.count(",") == 1 else '결제,"환불, 언제?",사흘'
    (document,) = csv(f"{header}\n{row}\n")
    assert (document.title, document.text) == ("환불, 언제?", "환불, 언제?\n사흘")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_every_usual_delimiter_is_found(delimiter: str) -> None:
    rows = [["id", "title", "body"], ["1", "하나, 둘", "글; 글"], ["2", "셋", "글"]]
    source = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    documents = csv(source)
    assert [(d.external_id, d.title, d.text) for d in documents] == [("1", "하나, 둘", "글; 글"), ("2", "셋", "글")]


def test_other_columns_become_typed_attributes() -> None:
    (document,) = csv("내용,분류,순서,가격,공개,전화,우편번호,빈칸\n글,결제,3,4.50,TRUE,010-1234-5678,06236,\n")
    assert document.attributes == {
        "분류": "결제",
        "순서": 3,
        "가격": 4.5,
        "공개": True,
        "전화": "010-1234-5678",
        "우편번호": "06236",
    }


def test_what_exceeds_the_attribute_limits_is_kept_in_the_text() -> None:
    record = {"text": "글", "긴": "가" * 513, "k" * 65: "값"} | {f"k{i}": i for i in range(20)}
    (document,) = jsonl(record)
    assert len(document.attributes) == 16
    assert all(f"k{i}: {i}" in document.text for i in range(16, 20))
    assert "가" * 513 in document.text
    assert "k" * 65 + ": 값" in document.text


def test_a_row_without_known_columns_is_rendered_whole() -> None:
    (document,) = jsonl({"상품": "가방", "가격": 3000, "색": ["빨강", "파랑"]})
    assert document.text == "상품: 가방\n가격: 3000\n색: 빨강, 파랑"
    assert document.attributes["가격"] == 3000


def test_names_over_unlike_rows_are_a_header() -> None:
    assert [d.text for d in csv("name,price\n가방,3000\n신발,5000\n")] == [
        "name: 가방\nprice: 3000",
        "name: 신발\nprice: 5000",
    ]


def test_rows_without_a_header_lose_nothing() -> None:
    documents = csv("환불은 언제 되나요?,사흘 걸립니다\n배송은요?,이틀 걸립니다\n")
    assert [d.text for d in documents] == ["환불은 언제 되나요?\n사흘 걸립니다", "배송은요?\n이틀 걸립니다"]


def test_ragged_rows_keep_their_extra_cells() -> None:
    (document,) = csv("title,text\n제목,글,남은 것\n")
    assert document.attributes == {"column 3": "남은 것"}


def test_empty_rows_are_skipped() -> None:
    assert len(csv("question,answer\n,\n\n질문,답\n , \n")) == 1
    assert len(jsonl({"text": ""}, {"text": "글"}, {})) == 1


@pytest.mark.parametrize(
    ("content", "filename", "said"),
    [
        (b'{"text": "a"}\n{broken\n', "a.jsonl", "line 2 is not JSON"),
        (b'{"text": "a"}\n\n[1]\n', "a.jsonl", "line 3 is not a JSON object"),
        (b'{"_id": 1, "text": "a"}\n{"_id": "1", "text": "b"}', "a.jsonl", "line 2 repeats the id '1' of line 1"),
        (b"id,text\nx,a\ny,b\nx,c\n", "a.csv", "row 4 repeats the id 'x' of row 2"),
        (b'{"text": "a", "k": ' + b"[" * 500 + b"]" * 500 + b"}", "a.jsonl", "cannot be read"),
    ],
)
def test_a_broken_file_is_refused_whole_and_the_place_named(content: bytes, filename: str, said: str) -> None:
    with pytest.raises(ParseError, match=said.replace("(", r"\(")) as refused:
        parse(content, filename)
    assert refused.value.code == "invalid_file"


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\u2029"])
def test_a_line_separator_inside_a_string_does_not_end_the_line(separator: str) -> None:
    (document,) = parse(f'{{"text": "a{separator}b"}}'.encode(), "a.jsonl")
    assert document.text.endswith("b")


def test_a_cell_of_a_megabyte_is_read() -> None:
    (document,) = csv('title,text\n제목,"' + "글 " * 500_000 + '"\n')
    assert len(document.text) > 900_000


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.one_of(
    st.sampled_from(["_id", "title", "text", "question", "answer", "metadata", "URL"]), st.text(max_size=8)
)


@settings(deadline=None)
@given(st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_any_json_object_is_one_document_within_the_limits_or_an_error(record: dict[str, object]) -> None:
    try:
        documents = jsonl(record)
    except ParseError as error:
        documents, code = [], error.code
    if not documents:
        assert code in ("empty_file", "invalid_file")
        return
    (document,) = documents
    assert document.text.strip()
    assert len(document.attributes) <= 16
    assert all(0 < len(key) <= 64 for key in document.attributes)
    assert all(len(value) <= 512 for value in document.attributes.values() if isinstance(value, str))


def test_keywords_of_a_question_are_searched_and_stay_an_attribute() -> None:
    (document,) = csv("질문,답변,키워드\n언제 오나요?,이틀,배송;도착")
    assert document.text == "언제 오나요?\n이틀\n키워드: 배송;도착"
    assert document.attributes == {"키워드": "배송;도착"}
    assert document.text[document.blocks[-1].start : document.blocks[-1].end] == "이틀"
