"""Which lines were wrapped by hand."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.quoting.lines import columns, go_on

KOREAN = (
    "상자를 꺼내는 사람은 문 옆의 대장에 서명한 다음 근무일로 닷새 동안 서고 밖에 둘 수 있으며 "
    "그 뒤에는 기록관이 독촉장을 보낸다."
)
ENGLISH = (
    "Whoever takes a box out signs the list at the door and may keep the box outside the hall for five working days."
)


def wrapped(text: str, width: int) -> list[str]:
    """At `width` columns, as an editor does."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines[-1:] = [longer] if columns(longer) <= width else [lines[-1], word]
    return lines


def test_a_hangul_syllable_is_two_columns_and_an_unseen_character_none() -> None:
    assert columns("abc") == 3
    assert columns("한글 a") == 6
    assert columns("a\u200bb\u00ad\u0301") == 2
    assert columns("ＡＢ") == 4


@pytest.mark.parametrize("text", [KOREAN, ENGLISH])
@pytest.mark.parametrize("width", range(36, 100, 8))
def test_a_text_wrapped_at_any_width_is_one(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert go_on(lines) == [True] * (len(lines) - 1) + [False]


def test_lines_of_names_and_values_stay_apart_however_long_they_are() -> None:
    lines = [
        "배송지: 서울특별시 중구 세종대로 110번지 신관 4층",
        "연락처: 02-000-0000",
        "담당: 김하늘, 이바다, 박구름, 최나무 외 여러 사람",
    ]
    assert go_on(lines) == [False, False, False]


def test_short_lines_are_lines_of_their_own() -> None:
    assert go_on(["apples", "pears and plums", "bread"]) == [False, False, False]


@given(st.lists(st.text("가나 ab.:,-\u200b", max_size=60), min_size=1, max_size=8))
def test_the_last_line_never_goes_on(lines: list[str]) -> None:
    found = go_on(lines)
    assert len(found) == len(lines)
    assert not found[-1]


@given(st.integers(36, 110))
def test_as_the_standard_library_wraps(width: int) -> None:
    lines = textwrap.wrap(ENGLISH * 2, width)
    assert all(go_on(lines)[:-1])
