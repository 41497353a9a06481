"""Numbers are made up: their check digits are right, their owners are nobody."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.base import Block
from retrieval.privacy import KINDS, mask
from retrieval.privacy.masking import MASK, told
from retrieval.privacy.numbers import is_card_number, is_resident_number
from retrieval.privacy.patterns import found
from retrieval.types import ParsedDocument, Section


def hidden(text: str, kinds: Any = KINDS) -> str:
    return mask(ParsedDocument(text=text), kinds)[0].text


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("resident_number", "900101-1234568"),
        ("resident_number", "9001011234568"),
        ("resident_number", "９００１０１－１２３４５６８"),
        ("resident_number", "900101 - 1234568"),
        ("resident_number", "201231-3123456"),  # of the years without a check digit
        ("card", "4111 1111 1111 1111"),
        ("card", "5555-5555-5555-4444"),
        ("card", "378282246310005"),
        ("card", "4111\u00a01111\u00a01111\u00a01111"),
        ("phone", "010-1234-5678"),
        ("phone", "01012345678"),
        ("phone", "010.1234.5678"),
        ("phone", "０１０－１２３４－５６７８"),
        ("phone", "010–1234–5678"),
        ("phone", "+82 10 1234 5678"),
        ("phone", "+82-(0)10-1234-5678"),
        ("phone", "(02) 123-4567"),
        ("phone", "031-123-4567"),
        ("phone", "070-1234-5678"),
        ("phone", "+1 (415) 555-2671"),
        ("phone", "+44 20 7946 0958"),
        ("email", "hong.gildong+test@example.co.kr"),
        ("email", "a_b@xn--example.com"),
    ],
)
@pytest.mark.parametrize("around", ["{}", "연락처는{}입니다.", "문의({})로", "Call {}, please.", "| {} |", "{}\n{}"])
def test_personal_data_is_masked_whole_as_people_write_it(kind: str, number: str, around: str) -> None:
    text = around.replace("{}", number)
    masked = hidden(text)
    assert masked == around.replace("{}", "".join(sign if sign.isspace() else MASK for sign in number))
    assert {found_kind for _, _, found_kind in found(text, KINDS)} == {kind}


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("국민은행 123456-01-123456 홍길동", "123456-01-123456"),
        ("계좌번호: 110-123-456789", "110-123-456789"),
        ("입금 계좌 3020123456781", "3020123456781"),
        ("bank account 12345678901", "12345678901"),
    ],
)
def test_an_account_is_one_where_a_bank_is_named(text: str, account: str) -> None:
    assert account not in hidden(text)
    assert hidden(f"주문 번호 {account}") == f"주문 번호 {account}"


@pytest.mark.parametrize(
    "text",
    [
        "900101-1234567",  # the check digit is wrong
        "901301-1234568",  # the thirteenth month
        "4111 1111 1111 1112",
        "0000 0000 0000 0000",
        "1588-1234로 전화하세요",
        "080-123-4567",
        "2026-11-28 12:30:45",
        "192.168.100.200",
        "ISBN 978-89-01-12345-6",
        "3.14159265358979",
        "010-12-345",
        "git show 0102030405060708",
        "https://example.com/010-1234-5678",
        "버전 02.2024.1130.1",
        "@decorator",
        "user@localhost",
        "git@salsa.debian.org:ddp-team/debian-faq.git",
        "1234567890123456789012345",
        "sha1:4111111111111111abcdef",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert hidden(text) == text


def test_only_the_kinds_that_were_asked_for_are_masked() -> None:
    text = "hong@example.com 010-1234-5678"
    assert hidden(text, ("email",)) == f"{MASK * 16} 010-1234-5678"
    assert hidden(text, ()) == text


def test_whatever_stands_beside_the_text_is_masked_and_counted() -> None:
    number, mail = "010-1234-5678", "a@b.com"
    document = ParsedDocument(
        text=f"# {number}\n{mail}",
        title=f"문의 {number}",
        attributes={"phone": "01012345678", "card": 4111111111111111.0, "paid": True, mail: 1.5},
        sections=(Section(0, (number,)),),
        url=f"mailto:{mail}",
        blocks=(Block("row", 0, 5, f"이름 | {number}"),),
    )
    masked, counts = mask(document, KINDS)
    assert "1234" not in repr(masked)
    assert "b.com" not in repr(masked)
    assert (masked.attributes["paid"], len(masked.text)) == (True, len(document.text))
    assert told(counts) == "masked: 1 card numbers, 2 phone numbers, 1 e-mail addresses"


@settings(max_examples=300)
@given(
    date=st.dates().filter(lambda day: day.year >= 1900 and day.year < 2100),
    serial=st.integers(0, 99999),
    sex=st.integers(0, 1),
    divider=st.sampled_from(["", "-", " ", " - ", "－"]),
    before=st.text("가나 .,:\n(", max_size=5),
    after=st.text("다요 .,)\n", max_size=5),
)
def test_every_resident_number_is_masked(
    date: Any, serial: int, sex: int, divider: str, before: str, after: str
) -> None:
    digits = f"{date:%y%m%d}{(1 if date.year < 2000 else 3) + sex}{serial:05}"
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    digits += str((11 - sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 11) % 10)
    assert is_resident_number(digits)
    number = f"{digits[:6]}{divider}{digits[6:]}"
    shown = hidden(before + number + after)
    if not before.endswith("."):
        assert not any(sign.isdigit() for sign in shown)


@settings(max_examples=300)
@given(
    prefix=st.sampled_from(["4", "51", "2221", "34", "6011", "9"]), body=st.text("0123456789", min_size=14, max_size=14)
)
def test_every_card_number_is_masked_and_none_with_another_check_digit(prefix: str, body: str) -> None:
    length = 15 if prefix == "34" else 16
    digits = (prefix + body)[: length - 1]
    checks = [last for last in "0123456789" if is_card_number(digits + last)]
    assert len(checks) == 1
    groups = " ".join((digits + checks[0])[i : i + 4] for i in range(0, length, 4))
    assert not any(sign.isdigit() for sign in hidden(f"카드 {groups}번"))


@settings(max_examples=300)
@given(st.text("0123456789-. @a가\n+()", max_size=200))
def test_masking_keeps_the_length_and_is_idempotent(text: str) -> None:
    masked = hidden(text)
    assert len(masked) == len(text)
    assert hidden(masked) == masked
    assert all(a in (b, MASK) for a, b in zip(masked, text, strict=True))
