"""A number as a spreadsheet shows it: ECMA-376 part 1, 18.8.30 and 18.8.31.

Dates are written as ISO 8601 has them, whatever the order in their format; everything else as the format says.
"""

import datetime
import operator
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache

BUILT_IN = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 5: "#,##0", 6: "#,##0", 7: "#,##0.00", 8: "#,##0.00",
    9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??", 14: "yyyy-mm-dd", 15: "yyyy-mm-dd",
    16: "mm-dd", 17: "yyyy-mm", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm", 21: "h:mm:ss",
    22: "yyyy-mm-dd h:mm", 32: "h:mm", 33: "h:mm:ss", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)", 41: "#,##0", 42: "#,##0", 43: "#,##0.00", 44: "#,##0.00",
    45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
    **dict.fromkeys((27, 28, 29, 30, 31, 34, 35, 36, *range(50, 59)), "yyyy-mm-dd"),  # East Asian dates
}  # fmt: skip
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|_.|\*.|\[(?P<bracket>[^\]]*)\]|(?P<general>General)|(?P<noon>AM/PM|A/P|오전/오후)'
    r"|(?P<exponent>E[+-])|(?P<date>[yY]+|[mM]+|[dD]+|[hH]+|[sS]+|[aA]{3,4}|[gGeE]+)|(?P<digit>[0#?])|(?P<other>.)",
    re.DOTALL,
)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)(-?[\d.]+)")
_COMPARE = {
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
    "<=": operator.le,
    ">=": operator.ge,
    "<>": operator.ne,
}
_MAX_FORMAT = 500
_EXACT = 1e15
_FIRST_DAY, _MAX_DAY = datetime.datetime(1899, 12, 30), 2_958_466
_OLD_LEAP = 60  # serials below it count a 29 February 1900 that was none
_1904 = 1462


@dataclass(frozen=True, slots=True)
class _Section:
    """tokens: (kind, text); kind is literal, digit, date, noon, elapsed, exponent, general or other."""

    tokens: tuple[tuple[str, str], ...]
    condition: tuple[str, float] | None

    def has(self, *kinds: str) -> bool:
        return any(kind in kinds for kind, _ in self.tokens)


def shown(value: float, code: str, *, from_1904: bool = False) -> str:
    """value: of the cell, a date's serial number included. code: of its number format."""
    sections = _sections(code[:_MAX_FORMAT])
    section, drop_sign = _chosen(sections, value)
    if not section.tokens:
        return "" if drop_sign or len(sections) > 1 else general(value)
    if section.has("date", "elapsed", "noon"):
        return _moment(value + (_1904 if from_1904 else 0), section) or general(value)
    if section.has("digit"):
        return _number(abs(value) if drop_sign else value, section)
    written = general(abs(value) if drop_sign else value)
    return "".join(written if kind == "general" or text == "@" else text for kind, text in section.tokens).strip()


def is_moment(code: str) -> bool:
    return _sections(code[:_MAX_FORMAT])[0].has("date", "elapsed", "noon")


def general(value: float) -> str:
    """Without a format: 15 digits of a whole number, 11 of another."""
    if value == int(value) and abs(value) < _EXACT:
        return str(int(value))
    return f"{value:.11g}"


@lru_cache(maxsize=1024)
def _sections(code: str) -> tuple[_Section, ...]:
    sections: list[_Section] = []
    tokens: list[tuple[str, str]] = []
    condition: tuple[str, float] | None = None
    for match in _TOKEN.finditer(code):
        kind, text = match.lastgroup, match[0]
        if kind == "other" and text == ";":
            sections.append(_Section(tuple(tokens), condition))
            tokens, condition = [], None
        elif kind in ("quoted", "escaped"):
            tokens.append(("literal", match[kind]))
        elif kind == "bracket":
            inside = match[kind]
            if inside.startswith("$"):
                tokens.append(("literal", inside[1:].partition("-")[0]))
            elif inside and inside.lower() in ("h", "hh", "m", "mm", "s", "ss"):
                tokens.append(("elapsed", inside.lower()))
            elif found := _CONDITION.fullmatch(inside):
                try:
                    condition = found[1], float(found[2])
                except ValueError:
                    condition = None
        elif kind is not None:
            tokens.append((kind, text))
    sections.append(_Section(tuple(tokens), condition))
    return tuple(sections[:4])


def _chosen(sections: tuple[_Section, ...], value: float) -> tuple[_Section, bool]:
    """The section for a value, and whether it writes the sign itself."""
    if any(section.condition for section in sections):
        for section in sections[:3]:
            if section.condition is None or _COMPARE[section.condition[0]](value, section.condition[1]):
                return section, False
        return sections[0], False
    if value < 0 and len(sections) > 1:
        return sections[1], True
    if value == 0 and len(sections) > 2:
        return sections[2], False
    return sections[0], False


def _number(value: float, section: _Section) -> str:
    tokens = section.tokens
    if any(text == "/" for kind, text in tokens if kind == "other"):
        return _fraction(value)
    digits = [number for number, (kind, _) in enumerate(tokens) if kind == "digit"]
    if section.has("exponent"):
        places = _decimals(tokens[: next(n for n, (kind, _) in enumerate(tokens) if kind == "exponent")])
        return f"{value:.{places}E}"
    scaled = Decimal(repr(value))
    scaled *= 100 ** min(4, sum(kind == "other" and text == "%" for kind, text in tokens))
    grouped = thousands = 0
    for number, (kind, text) in enumerate(tokens):
        if kind == "other" and text == ",":
            grouped |= digits[0] < number < digits[-1]
            thousands += number > digits[-1] or (number + 1 < len(tokens) and tokens[number + 1][1] == ".")
    places = min(30, _decimals(tokens))
    try:
        rounded = (scaled / 1000 ** min(4, thousands)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    except InvalidOperation:
        return general(value)
    whole, _, part = f"{abs(rounded):f}".partition(".")
    written = _filled(tokens, whole, part, grouped=bool(grouped))
    return f"-{written}" if rounded < 0 else written


def _decimals(tokens: tuple[tuple[str, str], ...]) -> int:
    point = next((n for n, (kind, text) in enumerate(tokens) if kind == "other" and text == "."), len(tokens))
    return sum(kind == "digit" for kind, _ in tokens[point:])


def _filled(tokens: tuple[tuple[str, str], ...], whole: str, part: str, *, grouped: bool) -> str:
    """The digits in their places, from the point to the left, then to the right; literals stay where they are."""
    point = next((n for n, (kind, text) in enumerate(tokens) if kind == "other" and text == "."), len(tokens))
    first = next((n for n, (kind, _) in enumerate(tokens[:point]) if kind == "digit"), point)
    left: list[str] = []
    rest, count = "" if whole == "0" else whole, 0
    for number in range(point - 1, -1, -1):
        kind, text = tokens[number]
        if kind == "digit":
            take = rest if number == first else rest[-1:]
            rest = "" if number == first else rest[:-1]
            for digit in reversed(take or ("0" if text == "0" else "")):
                left.append("," if grouped and count and count % 3 == 0 else "")
                left.append(digit)
                count += 1
        elif not (kind == "other" and text == ","):
            left.append(text[::-1])
    right: list[str] = []
    for kind, text in tokens[point:]:
        if kind == "digit":
            digit, part = part[:1], part[1:]
            right.append("" if text != "0" and not (digit + part).strip("0") else digit)
        elif not (kind == "other" and text == ","):
            right.append(text)
    written = "".join(left)[::-1] + "".join(right)
    return written.strip()


def _fraction(value: float) -> str:
    near = Fraction(abs(value)).limit_denominator(99)
    whole, part = divmod(near.numerator, near.denominator)
    sign = "-" if value < 0 else ""
    if not part:
        return f"{sign}{whole}"
    return f"{sign}{whole} {part}/{near.denominator}" if whole else f"{sign}{part}/{near.denominator}"


def _moment(serial: float, section: _Section) -> str:
    """A date, a time, both, or a span of time; "" for what is none."""
    if section.has("elapsed"):
        return _span(serial, section)
    if not 0 <= serial < _MAX_DAY:
        return ""
    try:
        moment = _FIRST_DAY + datetime.timedelta(milliseconds=round(serial * 86_400_000))
    except (OverflowError, ValueError):
        return ""
    if 1 <= serial < _OLD_LEAP:
        moment += datetime.timedelta(days=1)
    letters = [text.lower() for kind, text in section.tokens if kind == "date"]
    timed = any(text[0] in "hs" for text in letters) or section.has("noon")
    years, days = (any(text[0] in sort for text in letters) for sort in ("yge", "da"))
    months = any(text[0] == "m" for text in letters) and (not timed or years or days)
    date = ""
    if years or days or months:
        pattern = "%Y-%m-%d" if days else "%Y-%m" if months else "%Y"
        pattern = "%m-%d" if days and months and not years else pattern
        date = moment.strftime(pattern) if moment.year > 999 else moment.date().isoformat()
    return " ".join(part for part in (date, _clock(moment, letters, section) if timed else "") if part)


def _clock(moment: datetime.datetime, letters: list[str], section: _Section) -> str:
    seconds = any(text[0] == "s" for text in letters)
    if not any(text[0] == "h" for text in letters) and not section.has("noon"):
        return f"{moment.minute:02}:{moment.second:02}"
    padded = any(text == "hh" for text in letters)
    noon = section.has("noon")
    hour = (moment.hour % 12 or 12) if noon else moment.hour
    clock = f"{hour:02}" if padded else str(hour)
    clock += f":{moment.minute:02}" + (f":{moment.second:02}" if seconds else "")
    return clock + ((" PM" if moment.hour >= 12 else " AM") if noon else "")


def _span(days: float, section: _Section) -> str:
    unit = next(text[0] for kind, text in section.tokens if kind == "elapsed")
    seconds = round(abs(days) * 86_400)
    sign = "-" if days < 0 else ""
    if unit == "s":
        return f"{sign}{seconds}"
    minutes, second = divmod(seconds, 60)
    with_seconds = any(kind == "date" and text[0] in "sS" for kind, text in section.tokens)
    if unit == "m":
        return f"{sign}{minutes}:{second:02}" if with_seconds else f"{sign}{minutes}"
    hour, minute = divmod(minutes, 60)
    return f"{sign}{hour}:{minute:02}" + (f":{second:02}" if with_seconds else "")
