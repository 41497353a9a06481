"""What decides between units that are about the same thing: codes, directions, negation; pure."""

import re

_INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
_CODE = re.compile(r"(?<![A-Za-z0-9])(?:[A-Za-z]{1,6}[-_]?|[A-Z]{1,4} )\d[A-Za-z0-9]*(?:[-_.:/][A-Za-z0-9]+)*")
_NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)*")
_IDENTIFIER = re.compile(r"(?<!\w)[A-Za-z]\w*(?:[_.]\w+)+")
_SEPARATORS = re.compile(r"[-_ ,]")

# Each side of a pair as it is asked for and as it is said: stems, and in Korean the forms they take.
_PAIRS = tuple(
    (re.compile(one, re.IGNORECASE), re.compile(other, re.IGNORECASE))
    for one, other in (
        (r"\bon\b(?! (the|a|an|my|your|which|what|how)\b)", r"\boff\b"),
        (
            r"\b(re-?)?enabl|\bactivat|활성화(?<!비활성화)|켜|켭|켬|켠|켤",
            r"\bdisabl|\bdeactivat|비활성화|끄|끕|끔|꺼[지졌짐집]|끈다|끌 ",
        ),
        (r"\binsert|\bput in|\battach|넣", r"\bremov|\btake out|\bdetach|빼|뺍|뺀|뺄|꺼내"),
        (r"\binstall|설치", r"\buninstall|제거"),
        (r"\bopen", r"\bclos|\bshut"),
        (r"\badd\b|\badding|추가", r"\bdelet|\bremov|삭제|지우|지웁"),
        (r"\bconnect", r"\bdisconnect"),
        (r"연결", r"해제|끊"),
        (r"\bstart|시작", r"\bstop|중지|종료|정지"),
        (r"\block", r"\bunlock"),
        (r"잠그|잠급|잠금", r"풀|풉"),
        (r"\b(sign|log)(ging|ing)?[ -]?in\b|로그인", r"\b(sign|log)(ging|ing)?[ -]?out\b|로그아웃"),
        (r"\bincreas|\braise|늘리|늘립|올리|올립", r"\bdecreas|\breduc|\blower|줄이|줄입|내리|내립"),
        (r"\bshow|보이", r"\bhid|숨기|숨깁"),
        (r"\bsubscrib|가입", r"\bunsubscrib|탈퇴|해지"),
        (r"\bimport|가져오", r"\bexport|내보내"),
        (r"\bupload|올리", r"\bdownload|내려받"),
    )
)
_ASKS_FOR_NO = re.compile(
    r"\b(not|never|without|forbidden|prohibited|mustn't|can't|cannot|shouldn't)\b"
    r"|안 ?[되돼될됩]|하지 ?않|금지|말아야|없이|못 ?하",
    re.IGNORECASE,
)
_SAYS_NO = re.compile(
    r"\b(not|never|no|without|forbidden|prohibited|nor|neither)\b|n't\b|cannot"
    r"|않|못 ?[하합한할]|마세요|마십시오|말아|안 ?[되돼될됩]|금지|없다|없습|없이|없으",
    re.IGNORECASE,
)
_ASKS_PRICE = re.compile(
    r"\bhow (?:much|expensive) (?:is|are|for)\b|\b(?:how much|what)\b.*\b(?:prices?|costs?|fees?|charges?|pay)\b"
    r"|^(?:the )?(?:prices?|costs?|fees?) (?:of|for)\b"
    r"|얼마(?!나)|(?:가격|요금|비용|금액|값)[은이]?(?:요)?\??$",
    re.IGNORECASE,
)
_SAYS_PRICE = re.compile(
    r"[$€£¥₩]\s?\d|\d[\d,.]*\s?(?:[$€£¥₩]|원|달러|유로|만|천|%|퍼센트|USD|EUR|KRW|dollars?|euros?|pounds?|won\b|cents?)"
    r"|\d+/\d+|\bper ?cent\b|\bfree\b|\bno (?:charge|fee|cost)|무료|공짜",
    re.IGNORECASE,
)


def visible(text: str) -> str:
    """Without what no reader sees: soft hyphens, zero-width spaces, marks of direction, tags."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


def codes(text: str) -> frozenset[str]:
    """Model numbers and error codes, as they compare: `WA-320` and `wa320` are one."""
    return frozenset(_plain(code) for code in _CODE.findall(text))


def identifiers(text: str) -> frozenset[str]:
    """Dotted and underscored names."""
    return frozenset(_plain(name) for name in _IDENTIFIER.findall(text))


def numbers(text: str) -> frozenset[str]:
    return frozenset(_plain(number) for number in _NUMBER.findall(text))


def _plain(code: str) -> str:
    return _SEPARATORS.sub("", code).rstrip(".").casefold()


def opposed(question: str, text: str) -> bool:
    """Whether `text` is about the other direction: the question has one side of a pair alone, the text the other."""
    return any(_side(pair, question) * _side(pair, text) < 0 for pair in _PAIRS)


def agrees(question: str, text: str) -> bool:
    """Whether both have the same side of a pair alone."""
    return any(_side(pair, question) * _side(pair, text) > 0 for pair in _PAIRS)


def _side(pair: tuple[re.Pattern[str], re.Pattern[str]], text: str) -> int:
    one, other = (side.search(text) is not None for side in pair)
    return one - other


def asks_for_no(question: str) -> bool:
    """What must not be, what is impossible."""
    return _ASKS_FOR_NO.search(question) is not None


def says_no(text: str) -> bool:
    return _SAYS_NO.search(text) is not None


def asks_price(question: str) -> bool:
    return _ASKS_PRICE.search(question) is not None


def says_price(text: str) -> bool:
    """An amount of money or a share, or that it costs nothing."""
    return _SAYS_PRICE.search(text) is not None
