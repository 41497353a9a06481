import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.parsing.delimited import NotCsv, rows

TEXTS = st.text(alphabet='a b",;\n', max_size=24)


@given(TEXTS, st.sampled_from(",;"), st.booleans())
def test_rows_are_those_of_pythons_csv(text: str, delimiter: str, strict: bool) -> None:
    try:
        expected = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict))
    except csv.Error:
        with pytest.raises(NotCsv):
            list(rows(text, delimiter, strict=strict))
    else:
        assert list(rows(text, delimiter, strict=strict)) == expected


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [('a\n"b', 2, "not closed"), ('a\nb\n""c,d', 3, "expected after"), ("a,b,c,d", 1, "more than")],
)
def test_what_is_no_csv_is_named_with_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(NotCsv, match=said) as refused:
        list(rows(text, ",", 3))
    assert refused.value.line == line


def test_delimiters_inside_quotes_are_no_cells() -> None:
    assert list(rows('"a,b,c,d,e",f', ",", 2)) == [["a,b,c,d,e", "f"]]
