import csv
import io
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retrieval.parsing.cells.grammar import NotCsv, rows
from retrieval.parsing.cells.table import Row, Table

HEADER = ["id", "question", "answer", "team"]
_CELLS = st.text("ab ,;'“\t1", max_size=8)
_ROWS = st.lists(st.tuples(_CELLS, _CELLS, _CELLS), min_size=3, max_size=12)


def read(text: str, delimiter: str = ",") -> list[Row]:
    return list(Table(text, delimiter, 100).rows())


def cells(text: str, delimiter: str = ",") -> list[list[str]]:
    return [row.cells for row in read(text, delimiter)]


def written(table: list[list[str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(table)
    return out.getvalue()


@given(st.text('ab,"\n', max_size=40))
def test_every_line_is_in_some_row_and_rows_go_down(text: str) -> None:
    lines = [row.line for row in read(text)]
    assert lines == sorted(set(lines))
    letters = [c for c in text if c in "ab"]
    assert [c for row in cells(text) for cell in row for c in cell if c in "ab"] == letters


@given(st.text('ab,"', max_size=40))
def test_one_line_is_read_as_the_grammar_says_where_it_says_something(text: str) -> None:
    try:
        expected = list(rows(text, ","))
    except NotCsv:
        assert [row.broken for row in read(text)] == [True]
    else:
        assert cells(text) == expected
        assert not any(row.broken for row in read(text))


@given(_ROWS, st.data())
def test_a_quote_that_is_never_closed_takes_no_other_row_with_it(
    body: list[tuple[str, ...]], data: st.DataObject
) -> None:
    lines = written([HEADER, *([str(i), *row] for i, row in enumerate(body))]).splitlines()
    struck = data.draw(st.integers(1, len(lines) - 1))
    column = data.draw(st.integers(0, 3))
    row = next(rows(lines[struck], ","))
    assume('"' not in lines[struck])
    row[column] = '"' + row[column]
    expected = [next(rows(line, ",")) for line in lines]
    lines[struck] = ",".join(row)
    found = read("\n".join(lines))
    assert [r.cells for i, r in enumerate(found) if i != struck] == [r for i, r in enumerate(expected) if i != struck]
    assert (found[struck].cells, found[struck].broken) == (row, True)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("between", [1, 2, 3, 40])
def test_rows_between_two_stray_quotes_stay_rows(delimiter: str, between: int) -> None:
    table = [["id", "text", "length"], *([str(i), f"pipe no. {i}", "30"] for i in range(between + 5))]
    table[2][1] = '"6 inch pipe'
    table[2 + between][2] = '12"'
    table[-1][1] = "the last"
    found = read("\n".join(delimiter.join(row) for row in table), delimiter)
    assert [row.cells for row in found] == table
    assert [row.line for row in found if row.broken] == [3]


@pytest.mark.parametrize("between", [1, 2, 6, 40])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["Q-{}", "{}", "how long is no. {}?", "길이는 {}?"])
def test_rows_of_two_cells_stay_rows(between: int, delimiter: str, first: str) -> None:
    table = [["name", "text"], *([first.format(i), f"pipe {i}"] for i in range(between + 5))]
    table[2][1], table[2 + between][1] = '"6 inch', '12"'
    assert cells("\n".join(delimiter.join(row) for row in table), delimiter) == table


_LINES = st.lists(st.text("ab ;\n\"'", max_size=30), min_size=1, max_size=4).map("\n".join)


@given(st.lists(st.tuples(_LINES, _LINES), max_size=8))
def test_cells_of_several_lines_are_whole_where_quotes_are_as_they_should_be(body: list[tuple[str, str]]) -> None:
    table = [HEADER, *([str(i), *row, "team a"] for i, row in enumerate(body))]
    assert cells(written(table)) == table


def test_prose_over_several_lines_is_whole_though_a_line_of_it_has_a_comma() -> None:
    table = [
        ["question", "answer"],
        ["refund", "line one\nline two, with a comma"],
        ["fee", "a, b\n\nc, d\ne, f\ng, h"],
    ]
    assert cells(written(table)) == table


def test_a_long_answer_is_whole_beside_another_as_long() -> None:
    lines = "\n".join(f"step {i}, then wait" for i in range(8))
    table = [["question", "answer"], ["one", "\n\n".join("abcdefghi")], ["two", f"begin\n{lines}"], ["three", "end"]]
    assert cells(written(table)) == table


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('1,"Seven" Samurai,x', ["1", '"Seven" Samurai', "x"]),
        ('1,he said "yes",x', ["1", 'he said "yes"', "x"]),
        ('1,"he said "yes" to me",x', ["1", 'he said "yes" to me', "x"]),
        ('1,5" pipe,"a, b"', ["1", '5" pipe', "a, b"]),
        ('1,"5 inch,"a, b"', ["1", '"5 inch', "a, b"]),
        ('"1,2,3', ['"1', "2", "3"]),
        ('1,2,"', ["1", "2", '"']),
        ('"1","a"",b', ["1", 'a"', "b"]),
    ],
)
def test_a_line_with_a_stray_quote_is_read_as_the_row_it_most_likely_is(line: str, expected: list[str]) -> None:
    assert cells(f"a,b,c\n{line}\n7,8,9") == [["a", "b", "c"], expected, ["7", "8", "9"]]


@pytest.mark.parametrize(
    "unit",
    [
        '"',
        '"a\n',
        'a,"\n',
        '"""a\n',
        '"a"b,"\n',
        '"a\nb","c\n',
        '""',
        '"a,',
        'a,"b\nc,"d""\n',
        '1,"a\n2,b"\n',
        '1,"a\n2,b\n3,c"\n',
    ],
)
def test_time_grows_linearly_whatever_the_quotes(unit: str) -> None:
    def seconds(size: int) -> float:
        text = "a,b\n" + unit * (size // len(unit))
        began = time.process_time()
        for _ in Table(text, ",", 10**9).rows():
            pass
        return time.process_time() - began

    assert seconds(400_000) < 12 * max(seconds(100_000), 0.02)
