"""Quotes as the text of an answer."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.quoting.rendering import Quote, named_cells, render, spoken
from models.quoting.sentences import Unit, units
from retrieval.prompting.citations import CitationParser, MarkPart


def quotes(passage: str, mark: int = 1) -> list[Quote]:
    found = [Quote(unit, mark, position) for position, unit in enumerate(units(passage))]
    return [quote for quote in found if quote.unit.kind != "heading"]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("See the [price list](https://a.example/p?q=1) now.", "See the price list (https://a.example/p?q=1) now."),
        ("![logo](https://ads.example/x.png) Hello ![a][b]", "Hello"),
        ('<img src="http://x/y.png" onerror=z> Hello', "Hello"),
        ("[https://a.example](https://a.example)", "https://a.example"),
        ("<https://a.example/b>", "https://a.example/b"),
        ("[here](javascript:alert(1)) [there](data:text/html,x)", "here there"),
        ("[![badge](https://x/b.svg)](https://x/y)", "[](https://x/y)"),
        ("**Bold** and __bold__ and *soft* 2*3*4", "Bold and bold and soft 2*3*4"),
        ("can\u00adnot \u200bse\u200be \u202eit\u2066", "cannot see it"),
        ("Known.[3] x[1]", "Known.(3) x[1]"),
        ("a<br>b<br/>c", "a b c"),
    ],
)
def test_markup_of_a_document_does_nothing_in_an_answer(said: str, heard: str) -> None:
    assert spoken(said) == heard.replace("[](https://x/y)", spoken("[](https://x/y)"))


@given(st.text("![]()<>*_ ax1.\u200b\u00ad\n", max_size=60))
def test_no_picture_and_nothing_unseen_is_left(text: str) -> None:
    heard = spoken(text)
    assert not re.search(r"!\[[^\[\]]*\]\([^()\s]*\)", heard)
    assert not re.search("[\u200b\u00ad\n]", heard)


def test_a_row_is_said_with_its_names() -> None:
    row = Unit("| Pro | 29,900원 | |", "row", 0, context="| plan | month | note |")
    assert named_cells(row) == "plan: Pro, month: 29,900원"
    assert named_cells(Unit("| Pro | 29,900원 |", "row", 0)) == "Pro, 29,900원"
    assert named_cells(Unit("Order: | 12 | Cinema: | Downtown", "row", 0)) == "Order: 12, Cinema: Downtown"
    assert named_cells(Unit("Total: |  | $90", "row", 0, context="Show | Title | Price")) == "Total: $90"


def test_several_rows_are_a_table_with_one_mark() -> None:
    text = render(quotes("| plan | month |\n|---|---|\n| Pro | $19 |\n| Team | $49 |", 3))
    assert text == "| plan | month |\n|---|---|\n| Pro | $19 |\n| Team | $49 | [3]"


def test_a_paragraph_a_list_and_a_passage_have_one_mark_each() -> None:
    first = quotes("One. Two.\n\nThree.\n\nDo this:\n- a\n- b\n\n```\ncode\n```", 2)
    text = render([*first, *quotes("Other.", 1)])
    assert text == "One. Two. [2] Three. [2]\nDo this:\n- a\n- b [2]\n\n```\ncode\n```\n[2]\n\nOther. [1]"


@given(
    st.lists(
        st.sampled_from(["A b.", "- x\n- y", "| p | q |\n|---|---|\n| 1 | 2 |", "```\nx[1]\n```", "See [2]."]),
        min_size=1,
    )
)
def test_marks_are_read_back_and_the_parts_join_to_the_text(parts: list[str]) -> None:
    text = render(quotes("\n\n".join(parts)))
    parser = CitationParser(1)
    found = [*parser.feed(text), *parser.finish()]
    assert "".join(part.text for part in found) == text
    assert any(isinstance(part, MarkPart) for part in found)
