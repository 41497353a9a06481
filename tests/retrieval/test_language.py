import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.language import language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("배송은 얼마나 걸리나요?", "ko"),
        ("OvertimeService 호출은 어떻게 하나요?", "ko"),
        ("How long does delivery take?", "en"),
        ("What does the word 김치 mean in English sentences?", "en"),
        ("", "en"),
        ("12345 !?", "en"),
        ("한", "ko"),  # decomposed, as macOS writes file names
    ],
)
def test_a_text_has_the_language_its_letters_say(text: str, expected: str) -> None:
    assert language(text) == expected


@given(st.text())
def test_any_text_has_one_of_the_two_languages(text: str) -> None:
    assert language(text) in ("ko", "en")
