import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.parsing.cells.delimiter import NONE, delimiter


def found(text: str) -> tuple[str, int]:
    return delimiter(text, 100, lambda name: name in ("질문", "답변", "question", "answer"))


PROSE = ("네, 됩니다; 다만, 이틀 | 사흘 걸려요", "Yes, of course; a day, or two", "a\nb, c", "0,5", "", 'say "x"')


@given(
    st.sampled_from(",;\t|"),
    st.lists(st.lists(st.sampled_from(PROSE), min_size=3, max_size=3), min_size=2, max_size=9),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_program_wrote_is_found_whatever_the_cells_hold(mark: str, body: list[list[str]], quoting: int) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, lineterminator="\n", quoting=quoting)  # type: ignore[arg-type]
    writer.writerows([["name", "question", "answer"], *body])
    assert found(out.getvalue()) == (mark, 0)


@pytest.mark.parametrize("mark", ["\t", "|", ";", ","])
def test_a_stray_quote_does_not_hide_the_delimiter(mark: str) -> None:
    lines = [["질문", "답변"], ['"열', "쉰, 예순"], ["스물", '마흔"'], ["서른", "일흔; 여든"]]
    assert found("\n".join(mark.join(line) for line in lines))[0] == mark


def test_decimal_commas_are_no_delimiters() -> None:
    assert found("1,5;2,5;3,5\n2,5;4,5;5,5\n")[0] == ";"


def test_a_known_header_is_believed_where_rows_are_uneven() -> None:
    assert found("question,answer\nWhen?,Yes, today, or tomorrow\nWhy?,Because, well\n")[0] == ","


@pytest.mark.parametrize("text", ["text\nHello, world\nYes, we do, often\n", "one\ntwo, three\n", "", "\n\n"])
def test_a_text_of_one_column_has_none(text: str) -> None:
    assert found(text)[0] == NONE


@pytest.mark.parametrize("mark", [";", "\t", "|", ","])
def test_excels_own_line_is_believed_and_is_no_row(mark: str) -> None:
    text = f"sep={mark}\na{mark}b\n"
    mark_found, start = found(text)
    assert (mark_found, text[start:]) == (mark, f"a{mark}b\n")
