"""Codes, directions and negation."""

import pytest

from models.quoting.wording import (
    agrees,
    asks_for_no,
    asks_price,
    codes,
    identifiers,
    numbers,
    opposed,
    says_no,
    says_price,
)


def test_codes_compare_without_their_hyphens_and_are_whole() -> None:
    assert codes("WA-320, wa320 and WA 320") == {"wa320"}
    assert codes("F28.1 is not F28.") == {"f28.1", "f28"}
    assert codes("E12에 대해") == {"e12"}
    assert not codes("have 20,000 minutes in 2024")


def test_numbers_and_names() -> None:
    assert numbers("20,000원, 1.5 and 429는") == {"20000", "1.5", "429"}
    assert identifiers("set keep_weekly in os.path") == {"keepweekly", "os.path"}


@pytest.mark.parametrize(
    ("question", "other", "same"),
    [
        ("how do I turn X off", "Turning X on", "Turning X off"),
        ("알림 끄는 법", "알림을 켭니다", "알림을 끕니다"),
        ("위치를 끄려면?", "켬을 고르면 켜집니다", "끔을 고르면 꺼집니다"),
        ("disable updates", "Enabling updates", "To disable updates, hold"),
        ("배터리 빼기", "배터리를 넣습니다", "배터리를 뺍니다"),
        ("remove the battery", "Insert the battery", "Removing the battery"),
        ("how do I log out", "To log in, press", "Logging out"),
    ],
)
def test_directions_are_not_confused(question: str, other: str, same: str) -> None:
    assert opposed(question, other)
    assert not agrees(question, other)
    assert agrees(question, same)
    assert not opposed(question, same)


@pytest.mark.parametrize("text", ["The price of the plan", "설정을 저장합니다", "turn it on or off"])
def test_what_names_no_side_or_both_decides_nothing(text: str) -> None:
    assert not opposed("how do I turn it off", text)


@pytest.mark.parametrize("question", ["What must I not use?", "쓰면 안 되는 것은?", "without a key"])
def test_a_question_for_what_must_not_be(question: str) -> None:
    assert asks_for_no(question)


@pytest.mark.parametrize(
    "text", ["Never use petrol.", "쓰지 마세요.", "쓸 수 없다.", "It isn't allowed.", "쓰면 안 됩니다."]
)
def test_a_sentence_that_says_no(text: str) -> None:
    assert says_no(text)
    assert not says_no("You may use water.")


@pytest.mark.parametrize(
    ("question", "price"),
    [
        ("How much is the Pro plan?", True),
        ("What does express delivery cost?", True),
        ("price of the annual pass", True),
        ("배송비는 얼마예요?", True),
        ("프로 요금제 가격은?", True),
        ("How much does it weigh?", False),
        ("Are prices with tax?", False),
        ("얼마나 걸리나요?", False),
        ("가격에 부가세가 포함되어 있나요?", False),
    ],
)
def test_a_price_is_asked_for(question: str, *, price: bool) -> None:
    assert asks_price(question) == price


@pytest.mark.parametrize(
    ("text", "price"),
    [("Month: $19", True), ("월 29,900원입니다.", True), ("Delivery is free.", True), ("Open at 9.", False)],
)
def test_a_price_is_said(text: str, *, price: bool) -> None:
    assert says_price(text) == price
