"""Lines of text: how wide they stand, and which of them go on in the next; pure."""

import re
import unicodedata

_WIDE = 2  # columns of a Hangul syllable or an ideograph in a fixed-width font
_NARROWEST, _WIDEST = 30, 130  # columns to which text is wrapped by hand or by a mailer
_ENDS = re.compile(r"[.!?…。！？:：;|][\"'”’)\]*_`]*$")
_LABEL = re.compile(r"^\s*(?:\*\*|__)?[^\s:：.!?][^:：.!?\n]{0,30}(?:\*\*|__)?[:：](?:\s|\*\*|$)")
_RAGGED = 0.9  # of the widest line: who wraps by hand leaves a line a little short
_COMMA_COLUMNS = 20


def columns(text: str) -> int:
    """How wide `text` stands; marks that combine and characters that nobody sees take no column."""
    if text.isascii():
        return len(text)
    return sum(_column(character) for character in text)


def _column(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return _WIDE
    return 0 if unicodedata.category(character) in ("Mn", "Me", "Cf") else 1


def go_on(lines: list[str]) -> list[bool]:
    """For each line of a paragraph, whether its text goes on in the next line.

    A line was wrapped where the next one's first word would have made it wider than every line is. A line that is
    followed by a name and a colon was not: those are lines of their own.
    """
    widths = [columns(line.rstrip()) for line in lines]
    widest = max(widths[:-1], default=0)
    return [*(_goes_on(lines, i, widths[i], widest) for i in range(len(lines) - 1)), False]


def _goes_on(lines: list[str], i: int, width: int, widest: int) -> bool:
    line, following = lines[i].rstrip(), lines[i + 1].lstrip()
    if _LABEL.match(following) and (_LABEL.match(lines[i]) or _ENDS.search(line)):
        return False
    if width >= _COMMA_COLUMNS and line.endswith((",", "-")):
        return True
    if widest > _WIDEST:
        return False
    word = following.split(maxsplit=1)[0] if following else ""
    return widest >= _NARROWEST and width + 1 + columns(word) > _RAGGED * widest
