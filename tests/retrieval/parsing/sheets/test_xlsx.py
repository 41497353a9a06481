import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import ParseError, parse
from retrieval.places import column_name
from retrieval.types import ParsedDocument
from tests.retrieval.parsing.sheets.workbook import DOCS, MAIN, cell, rows, workbook, zipped
from tests.retrieval.parsing.sound import read_or_refused, sound

REAL = pytest.mark.skipif(not DOCS.is_dir(), reason="the shared documents are not here")


def read(content: bytes, filename: str = "book.xlsx") -> ParsedDocument:
    (document,) = parse(content, filename)
    return document


def cells(document: ParsedDocument) -> dict[str, str]:
    return {document.text[region.start : region.end]: region.cells for region in document.regions}


@REAL
def test_cells_read_as_a_reader_sees_them_each_with_its_place() -> None:
    document = read((DOCS / "ok" / "made_features.xlsx").read_bytes())
    assert cells(document)["2026-11-27 | 15.3%"] == "A2:B2"
    assert cells(document)["12,500원"] == "E2"
    assert cells(document)["XCELL 값"] == "D5"
    assert [document.text[b.start : b.end] for b in document.blocks if b.kind == "comment"] == ["XCOMMENT"]
    assert "HIDDENCELL" not in document.text
    assert document.warning == "hidden sheets were left out: 숨김"
    assert {region.sheet for region in document.regions} == {"매출현황"}


@REAL
@pytest.mark.parametrize(
    ("filename", "phrase", "where"),
    [
        ("markitdown_test.xls", "6ff4173b-42a5-4784-9b19-f49caff4d93d", ("Sheet1", "A14:D14")),
        ("poi_SampleSS.xlsx", "Start of 2nd sheet", ("Sheet Number 2", "A1")),
    ],
)
def test_phrases_of_real_workbooks_stand_in_their_cells(filename: str, phrase: str, where: tuple[str, str]) -> None:
    document = read((DOCS / "ok" / filename).read_bytes(), filename)
    sound([document])
    at = document.text.index(phrase)
    (region,) = (region for region in document.regions if region.start <= at < region.end)
    assert (region.sheet, region.cells) == where


@REAL
@pytest.mark.parametrize(
    ("filename", "outcome"),
    [
        ("made_sparse.xlsx", "FAR"),
        ("poi_xlsx-corrupted.xlsx", "second | row | data | foo"),
        ("poi_xxe_in_schema.xlsx", "/Test/Test"),
    ],
)
def test_hostile_workbooks_are_read_without_harm(filename: str, outcome: str) -> None:
    assert outcome in read((DOCS / "hostile" / filename).read_bytes()).text


@REAL
def test_one_long_string_in_thousands_of_cells_is_too_large() -> None:
    with pytest.raises(ParseError) as raised:
        parse((DOCS / "hostile" / "poi_poc-shared-strings.xlsx").read_bytes(), "a.xlsx")
    assert raised.value.code == "too_large"


def test_tables_are_divided_by_empty_rows_and_columns_and_have_their_header() -> None:
    document = read(
        workbook(
            {"실적": rows(["2026년 실적"], ["지역", "매출"], ["서울", 3], ["부산", 4], first=3) + rows(["끝"], first=9)}
        )
    )
    sound([document])
    kinds = [(block.kind, document.text[block.start : block.end], block.context) for block in document.blocks]
    assert kinds == [
        ("heading", "실적", ""),
        ("prose", "2026년 실적", ""),
        ("header", "지역 | 매출", ""),
        ("row", "서울 | 3", "지역 | 매출"),
        ("row", "부산 | 4", "지역 | 매출"),
        ("prose", "끝", ""),
    ]
    assert cells(document)["서울 | 3"] == "A5:B5"


def test_two_tables_beside_each_other_are_read_one_after_the_other() -> None:
    document = read(workbook({"s": rows(["a", "b", "", "x", "y"], [1, 2, "", 3, 4])}))
    assert document.text.split("\n\n") == ["s", "a | b\n1 | 2", "x | y\n3 | 4"]


def test_a_cell_merged_over_rows_stands_in_each_and_a_grouping_header_in_its_columns() -> None:
    data = rows(["지역", "매출", ""], ["", "상반기", "하반기"], ["서울", 1, 2], ["", 3, 4])
    merged = '<mergeCells><mergeCell ref="A1:A2"/><mergeCell ref="B1:C1"/><mergeCell ref="A3:A4"/></mergeCells>'
    document = read(workbook({"s": data}, after=merged))
    assert document.text.split("\n") == ["s", "", "지역 | 매출 상반기 | 매출 하반기", "서울 | 1 | 2", "서울 | 3 | 4"]


def test_hidden_rows_and_columns_are_left_out_and_told_filtered_rows_are_kept() -> None:
    data = (
        '<row r="1">'
        + cell("A1", "보임")
        + cell("B1", "열")
        + '</row><row r="2" hidden="1">'
        + cell("A2", "행")
        + "</row>"
    )
    columns = '<cols><col min="2" max="2" hidden="1"/></cols>'
    document = read(workbook({"s": data}, before=columns))
    assert document.text == "s\n\n보임"
    assert document.warning == "2 cells in hidden rows or columns of sheet 's' were left out"
    filtered = '<autoFilter ref="A1:A2"><filterColumn colId="0"/></autoFilter>'
    assert "행" in read(workbook({"s": data}, after=filtered)).text


def test_shared_strings_booleans_errors_and_results_of_formulas() -> None:
    strings = f'<sst xmlns="{MAIN}"><si><r><t>두 </t></r><r><t>조각</t></r><rPh><t>읽기</t></rPh></si></sst>'
    data = (
        '<row><c t="s"><v>0</v></c><c t="b"><v>1</v></c><c t="e"><v>#N/A</v></c>'
        '<c><f>1+1</f><v>2</v></c><c t="str"><f>x</f><v>글_x000A_줄</v></c><c s="1"><v>.153</v></c></row>'
    )
    document = read(workbook({"s": data}, ["0.0%"], more={"xl/sharedStrings.xml": strings}))
    assert document.text == "s\n\n두 조각 | TRUE | #N/A | 2 | 글\n줄 | 15.3%"


def test_a_damaged_sheet_is_a_warning_beside_a_sound_one() -> None:
    document = read(workbook({"좋음": rows(["값"]), "나쁨": "<row><c></row>"}))
    assert document.text == "좋음\n\n값"
    assert "'나쁨' could not be read" in document.warning


def test_a_workbook_of_questions_is_a_document_a_row() -> None:
    data = rows(
        ["분류", "질문", "답변"], ["배송", "언제 오나요?", "이틀 걸립니다."], ["환불", "환불은요?", "사흘 안에 됩니다."]
    )
    documents = parse(workbook({"FAQ": data}), "faq.xlsx")
    assert [document.text for document in documents] == ["언제 오나요?\n이틀 걸립니다.", "환불은요?\n사흘 안에 됩니다."]
    assert [document.attributes for document in documents] == [{"분류": "배송"}, {"분류": "환불"}]
    assert [document.regions[0].cells for document in documents] == ["A2:C2", "A3:C3"]
    assert [block.kind for block in documents[0].blocks] == ["question", "answer"]


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 no archive",
        workbook({"s": ""}),
        workbook({"s": rows(["숨김"])}, hidden=["s"]),
        zipped({"xl/workbook.xml": f'<!DOCTYPE a [<!ENTITY b "c">]><workbook xmlns="{MAIN}">&b;</workbook>'}),
        zipped({"xl/workbook.xml": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16")}),
    ],
)
def test_nothing_readable_is_no_success(content: bytes) -> None:
    with pytest.raises(ParseError) as raised:
        parse(content, "a.xlsx")
    assert raised.value.code in ("invalid_file", "empty_file")


def test_a_diagonal_costs_what_it_holds() -> None:
    data = "".join(f'<row r="{i}">{cell(f"{column_name(i)}{i}", "x")}</row>' for i in range(1, 3000))
    assert len(read(workbook({"s": data})).text) < 100_000


SEED = workbook(
    {"표": rows(["이름", "값"], ["가", 1], ["나", 2])},
    ["0%"],
    after='<mergeCells><mergeCell ref="A1:B9"/></mergeCells>',
)


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=False), st.integers(1, 20))
def test_any_mutation_gives_sound_documents_or_a_parse_error(random: random.Random, changes: int) -> None:
    content = bytearray(SEED)
    for _ in range(changes):
        content[random.randrange(len(content))] = random.randrange(256)
    read_or_refused(bytes(content), "a.xlsx")


@settings(deadline=None, max_examples=60)
@given(st.text("<>/row c=\"A1XFD0:t s'n&;", max_size=120))
def test_any_markup_in_a_sheet_gives_sound_documents_or_a_parse_error(data: str) -> None:
    read_or_refused(workbook({"s": rows(["x"]) + data}), "a.xlsx")


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_old_workbooks(content: bytes) -> None:
    with pytest.raises(ParseError):
        parse(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + content, "a.xls")
