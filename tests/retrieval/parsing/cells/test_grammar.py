import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.parsing.cells.grammar import NotCsv, Reader, TooManyCells, rows

TEXTS = st.text(alphabet='a b",;\n', max_size=24)


@given(TEXTS, st.sampled_from(",;"))
def test_rows_are_those_of_pythons_csv(text: str, delimiter: str) -> None:
    try:
        expected = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        with pytest.raises(NotCsv):
            list(rows(text, delimiter))
    else:
        assert list(rows(text, delimiter)) == expected


@pytest.mark.parametrize(("text", "said"), [('a\n"b', "not closed"), ('a\nb\n""c,d', "expected after")])
def test_what_is_no_csv_says_why(text: str, said: str) -> None:
    with pytest.raises(NotCsv, match=said):
        list(rows(text, ",", 3))


@pytest.mark.parametrize("text", ["a,b,c,d", '"a",b,c,d'])
def test_a_row_has_only_so_many_cells(text: str) -> None:
    with pytest.raises(TooManyCells, match="more than 3 cells"):
        list(rows(text, ",", 3))


def test_delimiters_inside_quotes_are_no_cells() -> None:
    assert list(rows('"a,b,c,d,e",f', ",", 2)) == [["a,b,c,d,e", "f"]]


@given(TEXTS)
def test_a_row_is_read_alike_after_others_have_failed(text: str) -> None:
    starts = [0, *(i + 1 for i, character in enumerate(text) if character == "\n" and i + 1 < len(text))]
    tried = Reader(text, ",")
    for start in starts:
        try:
            expected = Reader(text, ",").row(start)
        except NotCsv:
            with pytest.raises(NotCsv):
                tried.row(start)
        else:
            assert tried.row(start) == expected
