import pytest

from retrieval.parsing import parse
from retrieval.types import ParsedDocument


def read(source: str, filename: str = "faq.csv") -> list[ParsedDocument]:
    return parse(source.encode(), filename)


@pytest.mark.parametrize("filename", ["faq.csv", "faq.tsv", "FAQ.CSV"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_content_tells_the_delimiter_and_not_the_name(filename: str, delimiter: str) -> None:
    rows = [["질문", "답변"], ["환불은, 언제?", "사흘; 길면 닷새, 보통은"], ["배송은 | 언제?", "이틀, 제주도는 사흘"]]
    source = "\n".join(delimiter.join(f'"{c}"' if delimiter in c else c for c in row) for row in rows)
    assert [(d.title, d.text) for d in read(source, filename)] == [(q, f"{q}\n{a}") for q, a in rows[1:]]


def test_a_stray_quote_costs_no_row_its_answer_and_is_told() -> None:
    source = (
        '질문\t답변\n환불은?\t"사흘입니다\n배송은?\t이틀입니다\n규격은?\t길이 12"\n문의는?\t"메일로,\n또는 전화로"\n'
    )
    documents = read(source)
    assert [d.text for d in documents] == [
        '환불은?\n"사흘입니다',
        "배송은?\n이틀입니다",
        '규격은?\n길이 12"',
        "문의는?\n메일로,\n또는 전화로",
    ]
    assert [d.warning for d in documents] == ["line 2: a quote is astray, the line is read as plain text", "", "", ""]


def test_a_row_with_more_cells_than_names_is_told_with_its_line() -> None:
    documents = read('question,answer\n"two\nlines",ok\n\nWhen?,Yes, today\n')
    assert [d.warning for d in documents] == ["", "line 5: 3 cells under 2 names"]


def test_a_column_of_prose_is_not_cut_at_its_commas() -> None:
    documents = read("text\nYes, we do.\nNo, never, and not today.\n")
    assert [d.text for d in documents] == ["Yes, we do.", "No, never, and not today."]


def test_a_question_over_two_lines_is_a_title_on_one() -> None:
    (document,) = read('질문,답변\n"환불은\n언제?",사흘\n')
    assert (document.title, document.text) == ("환불은 언제?", "환불은\n언제?\n사흘")


def test_excels_first_line_names_the_delimiter_and_is_no_row() -> None:
    (document,) = read("sep=;\r\n질문;답변\r\n배송은?;이틀, 또는 사흘\r\n")
    assert document.text == "배송은?\n이틀, 또는 사흘"
