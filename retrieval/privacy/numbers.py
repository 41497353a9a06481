"""Which rows of digits are a number of their kind: their check digits and what they say of themselves; pure."""

from datetime import date
from itertools import cycle

_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_CENTURIES = {
    "9": 1800,
    "0": 1800,
    "1": 1900,
    "2": 1900,
    "5": 1900,
    "6": 1900,
    "3": 2000,
    "4": 2000,
    "7": 2000,
    "8": 2000,
}
_UNCHECKED_SINCE = date(2020, 10, 5)  # whose number is given from that day on has six digits of chance
# First digits and lengths of the networks' numbers (ISO/IEC 7812): Visa, Mastercard, American Express, Discover, JCB,
# Diners, UnionPay, and Korea's own cards.
_NETWORKS: tuple[tuple[tuple[int, int], frozenset[int]], ...] = (
    ((4, 4), frozenset({13, 16, 19})),
    ((51, 55), frozenset({16})),
    ((2221, 2720), frozenset({16})),
    ((34, 34), frozenset({15})),
    ((37, 37), frozenset({15})),
    ((6011, 6011), frozenset({16})),
    ((644, 659), frozenset({16})),
    ((3528, 3589), frozenset({16})),
    ((300, 305), frozenset({14})),
    ((36, 36), frozenset({14})),
    ((38, 39), frozenset({14})),
    ((62, 62), frozenset({16, 17, 18, 19})),
    ((9, 9), frozenset({16})),
)


def is_resident_number(digits: str) -> bool:
    """Korea's resident registration number, and that of a foreigner who lives there: 13 digits, a date first.

    The last digit checks the others (주민등록법 시행규칙), but in numbers given since October 2020.
    """
    if len(digits) != 13 or (born := _born(digits)) is None:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=False))
    foreign = digits[6] in "5678"
    check = (13 - total % 11) % 10 if foreign else (11 - total % 11) % 10
    return check == int(digits[12]) or born >= _UNCHECKED_SINCE


def _born(digits: str) -> date | None:
    if (century := _CENTURIES.get(digits[6])) is None:
        return None
    try:
        return date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))
    except ValueError:
        return None


def is_card_number(digits: str) -> bool:
    """A network's first digits and length, and the check digit of Luhn (ISO/IEC 7812-1, annex B)."""
    known = any(
        len(digits) in lengths and first <= int(digits[: len(str(first))]) <= last
        for (first, last), lengths in _NETWORKS
    )
    return known and len(set(digits)) > 1 and _luhn(digits)


def _luhn(digits: str) -> bool:
    total = 0
    for digit, factor in zip(reversed(digits), cycle((1, 2)), strict=False):
        value = int(digit) * factor
        total += value - 9 if value > 9 else value
    return total % 10 == 0
