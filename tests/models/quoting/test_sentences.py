"""Passages as quotable units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.quoting.sentences import Unit, split_sentences, units


def texts(passage: str) -> list[tuple[str, str]]:
    return [(unit.kind, unit.text) for unit in units(passage)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("환불은 3일 걸립니다. 카드사는 다릅니다.", ["환불은 3일 걸립니다.", "카드사는 다릅니다."]),
        ("됩니다.그리고 됩니다!정말요? 네.", ["됩니다.", "그리고 됩니다!", "정말요?", "네."]),
        ("버전 3.11은 빠릅니다. 1.5배입니다.", ["버전 3.11은 빠릅니다.", "1.5배입니다."]),
        ("Use e.g. this one. Mr. Kim of the U.S. agrees.", ["Use e.g. this one.", "Mr. Kim of the U.S. agrees."]),
        ('The form "from ... import *" binds. Then it ends.', ['The form "from ... import *" binds.', "Then it ends."]),
        ("그는 “네.” 라고 답했습니다. 끝.", ["그는 “네.”", "라고 답했습니다.", "끝."]),
        ("(자세히는 아래 참고.) 다음입니다.", ["(자세히는 아래 참고.)", "다음입니다."]),
        ("no stop at the end", ["no stop at the end"]),
    ],
)
def test_sentences_of_both_languages(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


def test_wrapped_lines_are_one_sentence_and_short_lines_are_their_own() -> None:
    passage = (
        'The "with" statement is used to wrap the execution of a block with\n'
        "methods defined by a context manager. It is common.\n"
        "\n"
        "배송지: 서울\n"
        "연락처: 02-000-0000\n"
    )
    assert texts(passage) == [
        (
            "sentence",
            'The "with" statement is used to wrap the execution of a block with methods defined by a context manager.',
        ),
        ("sentence", "It is common."),
        ("sentence", "배송지: 서울"),
        ("sentence", "연락처: 02-000-0000"),
    ]


def test_headings_lists_and_code_keep_their_kind() -> None:
    passage = (
        "Title\n*****\n\n## 둘째 제목\n1. 앱을 엽니다\n2. 주문을\n   누릅니다\n- 끝\n\n"
        "   x = 1\n   if x:\n       y()\n\n```python\na\n\nb\n```\nafter."
    )
    assert texts(passage) == [
        ("heading", "Title"),
        ("heading", "둘째 제목"),
        ("item", "1. 앱을 엽니다"),
        ("item", "2. 주문을 누릅니다"),
        ("item", "- 끝"),
        ("code", "x = 1\nif x:\n    y()"),
        ("code", "a\n\nb"),
        ("sentence", "after."),
    ]


def test_what_stands_under_see_also_only_refers_elsewhere() -> None:
    passage = (
        "It ends.\n\nSee also:\n\n  **PEP 343** - The with statement\n     Its background and examples.\n\nMore text."
    )
    assert [kind for kind, _ in texts(passage)] == ["sentence", "sentence", "reference", "sentence"]


def test_indented_prose_is_not_code() -> None:
    assert texts("   Note:\n\n     It is always called. See below.") == [
        ("sentence", "Note:"),
        ("sentence", "It is always called."),
        ("sentence", "See below."),
    ]


@pytest.mark.parametrize("passage", ["", "\n\n", "***\n---", "```\n```"])
def test_nothing_to_say_gives_nothing(passage: str) -> None:
    assert units(passage) == []


@given(st.text("가다. a1\n#*-`?:  ", max_size=80))
def test_no_word_is_lost_or_made_up(passage: str) -> None:
    found = units(passage)
    assert all(unit == Unit(unit.text, unit.kind, unit.paragraph) and unit.text for unit in found)
    letters = [c for c in passage if c in "가다a1"]
    assert [c for unit in found for c in unit.text if c in "가다a1"] == letters or "`" in passage


def test_a_passage_that_goes_on_into_other_sections_has_each_unit_under_its_own_headings() -> None:
    """Its first line names the section of its greater part."""
    passage = (
        "# Router > Reset\nRestart it with the button.\n\n## Updates\n\nIt updates at night.\n\n"
        "### By hand\n\nPress Update.\n\n## Reset\n\nHold the pin for ten seconds.\n"
    )
    assert [(unit.text, unit.under) for unit in units(passage) if unit.kind == "sentence"] == [
        ("Restart it with the button.", ("Router",)),
        ("It updates at night.", ("Router", "Updates")),
        ("Press Update.", ("Router", "Updates", "By hand")),
        ("Hold the pin for ten seconds.", ("Router", "Reset")),
    ]


def test_a_passage_within_a_section_is_under_its_whole_path() -> None:
    passage = "# Router > Wi-Fi > Password\nChoose Network.\n\n### Guests\n\n1. Open the app.\n"
    assert [unit.under for unit in units(passage) if unit.kind != "heading"] == [
        ("Router", "Wi-Fi", "Password"),
        ("Router", "Wi-Fi", "Guests"),
    ]
