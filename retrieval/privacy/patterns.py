"""Where personal data stands in a text: as people write it, in both scripts' digits, dashes and spaces; pure.

Each kind is found on a text of the same length, digits folded to 0-9 and dashes to "-", so offsets are the text's own.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal, get_args

from retrieval.privacy.numbers import is_card_number, is_resident_number

Kind = Literal["resident_number", "card", "phone", "email", "account"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_DASHES = "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d\u30fc"
_SPACES = "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000"
_FOLDED = str.maketrans(
    dict.fromkeys(_DASHES, "-") | dict.fromkeys(_SPACES, " ") | {"．": ".", "＠": "@", "（": "(", "）": ")"}
)
_OTHER_DIGIT = re.compile(r"[^\D0-9]")

# Particles of Korean follow without a space, so only letters and digits of ASCII go on with a number or an address.
_ALONE = r"(?<![A-Za-z0-9_.+\-/=#@])(?<![0-9][,:])"
_ENDED = r"(?![A-Za-z0-9_/=@]|[\-.,:][0-9]|-[A-Za-z])"
_BETWEEN = r"[ \-.]{0,3}"  # what may stand between two groups of one number
_DIVIDED = r"(?:\) ?| ?[\-.] ?| )"
_RESIDENT = re.compile(r"(?<![A-Za-z0-9_.\-])[0-9]{6}(?:\s?-\s?|\s)?[0-9]{7}(?![A-Za-z0-9_]|[\-.][0-9])")
_CARD = re.compile(r"(?<![A-Za-z0-9_.\-])[0-9](?:[ -]?[0-9]){12,18}(?![A-Za-z0-9_]|[\-.][0-9])")
# A person's: mobile numbers, and those of an area, which are only told from other digits where they are divided.
# 15xx-, 16xx-, 18xx- and 080-numbers are a company's for all to call.
_COUNTRY = r"(?:\((?=\+82\)))?(?:\+|00[0-9]{0,3} ?)82\)?" + _BETWEEN + r"(?:\(0\)|0)?"
_AREA = r"(?:\((?=0[0-9]{1,3}\)))?0"
_PHONES = (
    re.compile(rf"{_ALONE}(?:{_COUNTRY}|{_AREA})1[016-9]\)?{_BETWEEN}[0-9]{{3,4}}{_BETWEEN}[0-9]{{4}}{_ENDED}"),
    re.compile(
        rf"{_ALONE}(?:{_COUNTRY}|{_AREA})(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50[2-8]?)"
        rf"{_DIVIDED}[0-9]{{3,4}}{_DIVIDED}[0-9]{{4}}{_ENDED}"
    ),
    re.compile(
        rf"{_ALONE}\+(?!82)[1-9][0-9]{{0,2}}{_BETWEEN}(?:\([0-9]{{1,4}}\))?(?:[ \-.]?[0-9]{{2,4}}){{2,4}}{_ENDED}"
    ),
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9_.+%\-])[A-Za-z0-9_.+%\-]{1,64}@(?:[A-Za-z0-9가-힣](?:[A-Za-z0-9가-힣\-]{0,61}[A-Za-z0-9가-힣])?\.){1,8}"
    r"(?:[A-Za-z]{2,24}|한국)(?![A-Za-z0-9_]|[.:][A-Za-z0-9])"  # git@host:path is none
)
_ACCOUNT = re.compile(r"(?<![0-9.\-])(?:[0-9]{2,6}(?:-[0-9]{1,7}){2,4}|[0-9]{10,14})(?![0-9\-]|\.[0-9])")
_BANK = re.compile(
    r"계좌|입금|송금|이체|예금주|은행|농협|수협|신협|새마을금고|우체국|카카오뱅크|토스뱅크|케이뱅크|\baccount\b|\bbank\b|\bIBAN\b|\ba/c\b",
    re.IGNORECASE,
)
_NEAR = 30  # characters before a number of an account in which its bank is named
_ACCOUNT_DIGITS = range(10, 15)


def folded(text: str) -> str:
    """As long as `text`."""
    plain = text.translate(_FOLDED)
    return _OTHER_DIGIT.sub(lambda match: str(unicodedata.digit(match[0])), plain)


def found(text: str, kinds: Sequence[Kind]) -> list[tuple[int, int, Kind]]:
    """(start, end, kind), ascending, apart from each other: of two that overlap the one that comes first in KINDS."""
    plain = folded(text)
    taken = bytearray(len(text))
    places: list[tuple[int, int, Kind]] = []
    for kind in (one for one in KINDS if one in kinds):
        for start, end in _SEARCHES[kind](plain):
            if not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                places.append((start, end, kind))
    return sorted(places)


def _checked(pattern: re.Pattern[str], plain: str) -> Iterator[tuple[int, int, str]]:
    for match in pattern.finditer(plain):
        yield match.start(), match.end(), re.sub(r"\D", "", match[0])


def _resident_numbers(plain: str) -> Iterator[tuple[int, int]]:
    return ((a, b) for a, b, digits in _checked(_RESIDENT, plain) if is_resident_number(digits))


def _cards(plain: str) -> Iterator[tuple[int, int]]:
    return ((a, b) for a, b, digits in _checked(_CARD, plain) if is_card_number(digits))


def _phones(plain: str) -> Iterator[tuple[int, int]]:
    for pattern in _PHONES:
        for a, b, digits in _checked(pattern, plain):
            if 9 <= len(digits) <= 15:
                yield a, b


def _emails(plain: str) -> Iterator[tuple[int, int]]:
    return ((match.start(), match.end()) for match in _EMAIL.finditer(plain))


def _accounts(plain: str) -> Iterator[tuple[int, int]]:
    for a, b, digits in _checked(_ACCOUNT, plain):
        if len(digits) in _ACCOUNT_DIGITS and _BANK.search(plain, max(0, a - _NEAR), a):
            yield a, b


_SEARCHES = {
    "resident_number": _resident_numbers,
    "card": _cards,
    "phone": _phones,
    "email": _emails,
    "account": _accounts,
}
