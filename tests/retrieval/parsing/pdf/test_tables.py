"""Tables without rules, drawn row by row."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.parsing import parse
from retrieval.parsing.pdf.glyphs import Run
from retrieval.parsing.pdf.layout import Column, ordered
from retrieval.parsing.pdf.tables import Table, columns
from retrieval.places import Box, place_of
from retrieval.types import ParsedDocument
from tests.retrieval.parsing.pdf.files import pdf, said

Line = dict[int, str]  # left edge -> text

TOP, STEP = 700, 14


def read(*lines: Line, steps: dict[int, float] | None = None) -> ParsedDocument:
    """steps: line -> points to the line above, where they are not STEP."""
    content, y = "", float(TOP)
    for number, line in enumerate(lines):
        y -= (steps or {}).get(number, STEP) if number else 0
        content += "".join(said(x, y, text, 8) for x, text in line.items())
    return parse(pdf(content), "a_file.pdf")[0]


def kinds(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


HEADER = {60: "Show", 120: "Title", 220: "Format", 300: "Price"}


def show(number: int, title: str, kind: str, price: str) -> Line:
    return {60: f"{number}", 120: title, 220: kind, 300: price}


def test_a_cell_over_several_lines_is_one_cell_with_the_places_of_each_line() -> None:
    document = read(
        HEADER,
        show(1, "Holidays", "IMAX", "$250"), {120: "(Runtime: 142 min); Premium Season"},
        show(2, "Winter", "Plain", "$150"), {120: "(Runtime: 98 min)"},
    )  # fmt: skip
    assert kinds(document) == [
        ("header", "Show | Title | Format | Price"),
        ("row", "1 | Holidays (Runtime: 142 min); Premium Season | IMAX | $250"),
        ("row", "2 | Winter (Runtime: 98 min) | Plain | $150"),
    ]
    at = document.text.index("(Runtime: 142")
    box = place_of(document.regions, at, at + 8).pages[0].boxes[0]
    assert 119 < box.x0 < 123
    assert TOP - 2 * STEP < 800 - box.y1 + 4 < TOP - STEP
    row = document.blocks[1]
    assert len(place_of(document.regions, row.start, row.end).pages[0].boxes) == 5


def test_a_line_that_reaches_over_columns_takes_none_of_them_away() -> None:
    document = read(
        HEADER, show(1, "A", "IMAX", "$250"), show(2, "B", "Plain", "$150"), show(3, "C", "Plain", "$90"),
        {60: "Total of all the shows", 300: "$490"},
    )  # fmt: skip
    assert kinds(document)[-2:] == [("row", "3 | C | Plain | $90"), ("row", "Total of all the shows |  |  | $490")]


def test_a_line_of_another_text_between_two_rows_comes_after_the_table() -> None:
    aside = "All of the prices may change without any notice."
    document = read(
        HEADER, show(1, "A", "IMAX", "$250"), {60: aside}, show(2, "B", "Plain", "$150"), show(3, "C", "Plain", "$90"),
        steps={2: 7, 3: 7},
    )  # fmt: skip
    assert kinds(document) == [
        ("header", "Show | Title | Format | Price"),
        ("row", "1 | A | IMAX | $250"),
        ("row", "2 | B | Plain | $150"),
        ("row", "3 | C | Plain | $90"),
        ("prose", aside),
    ]


def test_a_heading_between_two_tables_divides_them() -> None:
    document = read(
        HEADER, show(1, "A", "IMAX", "$250"), show(2, "B", "Plain", "$150"),
        {60: "And these are the shows of another house"},
        HEADER, show(3, "C", "Plain", "$90"), show(4, "D", "Plain", "$80"), steps={3: 20, 4: 20},
    )  # fmt: skip
    assert [kind for kind, _ in kinds(document)] == ["header", "row", "row", "prose", "header", "row", "row"]


def test_fields_of_a_form_are_rows_without_a_header_and_their_columns_stay_apart() -> None:
    document = read(
        {60: "Name:", 150: "Jane Doe"}, {350: "Billing:", 450: "Net 30"},
        {60: "Phone:", 150: "555 0100"}, {350: "Terms:", 450: "Corporate"}, steps={1: 6, 2: 6, 3: 6},
    )  # fmt: skip
    assert kinds(document) == [
        ("row", "Name: | Jane Doe"),
        ("row", " |  | Billing: | Net 30"),
        ("row", "Phone: | 555 0100"),
        ("row", " |  | Terms: | Corporate"),
    ]


def test_a_value_beside_the_foot_of_its_columns_name_is_in_that_column() -> None:
    document = read(
        {60: "Item", 150: "Number of pieces", 300: "Weight"},
        *({60: name, 150: f"{n}{n}", 326: f"{n}.5"} for n, name in enumerate(("Pens", "Paper", "Ink"), 1)),
    )
    assert [text.count("|") for _, text in kinds(document)] == [2, 2, 2, 2]


def cell(left: float, top: float, text: str) -> Run:
    edges = [edge for i in range(len(text)) for edge in (left + 5 * i, top, left + 5 * i + 5, top + 8)]
    return Run(text, edges, Box(left, top, left + 5 * len(text), top + 8), 8.0)


WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=8)
LINES = st.lists(WORDS, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5).flatmap(lambda n: st.lists(st.tuples(*[LINES] * n), min_size=3, max_size=6)))
def test_nothing_is_lost_doubled_or_moved_to_another_column(table: list[tuple[list[str], ...]]) -> None:
    """Of rows whose cells have up to three lines, of the first column one, of the second at least one."""
    drawn, top = [], 20.0
    for first, second, *others in table:
        row = [first[:1] or ["x"], second or ["z"], *others]
        drawn += [
            cell(40.0 + 110 * n, top + 11 * line, text)
            for n, lines in enumerate(row)
            for line, text in enumerate(lines)
        ]
        top += 11 * max(map(len, row)) + 12
    parts = ordered(drawn)
    tables = [part for part in parts if isinstance(part, Table)]
    read_lines = [line for part in parts if isinstance(part, Column) for line in part.lines]
    read_lines += [line for each in tables for row in each.rows for lines in row for line in lines]
    assert sorted(line.text for line in read_lines) == sorted(run.text for run in drawn)
    for each in tables:
        for n in range(len(each.rows[0])):
            assert len({line.box.x0 for row in each.rows for line in row[n]}) <= 1


def test_columns_of_rows_that_share_none() -> None:
    rows = [[cell(0, 0, "ab"), cell(50, 0, "ab")], [cell(100, 0, "ab"), cell(150, 0, "ab")]]
    assert columns(rows) == [(0, 10), (50, 60), (100, 110), (150, 160)]
