"""Characters that nobody sees, and texts that are the same to who reads them.

What is invisible changes how a word is found, hides instructions from the reader that a model follows, or turns a line
around (trojansource.codes). It goes, but where a script or an emoji is written with it: Persian and the Indic scripts
join by U+200C and U+200D, Mongolian by its own selectors, an emoji by U+200D and U+FE0F.
"""

import re
import unicodedata

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# A word broken at the end of a line, and what may indent the next one.
_BROKEN_WORD = re.compile(r"(?:\u00ad[ \t]*\n[ \t]*)+(?=[^\W\d_])")
_BLANK = frozenset("\u3164\uffa0")  # fillers as wide as a letter: they stand where a space should
_JOINING = re.compile(  # letters and marks of the scripts that are written with joiners
    "[\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u17b3\u17b6-\u17ff\u1820-\u18aa\u1a20-\u1aaf\u1b00-\u1bff\ua800-\ua9ff"
    "\uaa60-\uaadf\uabc0-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010a5f\U00011000-\U00011fff\U0001e900-\U0001e95f]"
)
_MONGOLIAN = re.compile("[\u1820-\u18aa]")
_PICTURE = re.compile(
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
_LEADING_JAMO, _VOWEL_JAMO = re.compile("[\u1100-\u115e\ua960-\ua97c]"), re.compile("[\u1161-\u11ff\ud7b0-\ud7fb]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]")
_EMOJI_STYLE, _KEYCAP = "\ufe0f", "\u20e3"


def visible(text: str, *, lines: bool = True) -> str:
    """Without what nobody sees; twice is the same as once. A soft hyphen joins, and at the end of a line the next one.

    lines: False where lines are rows of a table: soft hyphens stay, for who has its cells.
    """
    if text.isascii():
        return text
    if lines and "\u00ad" in text:
        text = _BROKEN_WORD.sub("", text)
    return _INVISIBLE.sub(_shown if lines else _shown_in_rows, text)


def same(text: str) -> str:
    """What two names or values have in common that look alike: macOS writes 가 in two characters, others in one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """As two texts are compared by who searches for one in the other: without regard to case, in NFC."""
    return same(text).casefold()


def one_line(text: str) -> str:
    """As it may stand on a line, or in a terminal: no breaks, no control characters, nothing invisible."""
    shown = visible(text)
    return " ".join("".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in shown).split())


def shortened(text: str, longest: int) -> str:
    """At most `longest` characters of it, the last one an ellipsis where something is left out: after a word where one
    ends in its last third, and never between characters that are seen as one.
    """
    if len(text) <= longest:
        return text
    end = longest - 1
    while end > 0 and _continues(text, end):
        end -= 1
    if (space := text.rfind(" ", 0, end + 1)) > longest * 2 // 3:
        end = space
    return text[:end].rstrip() + "…"


def shown_name(name: str) -> str:
    """A stored name or title as it is shown: itself, but as `one_line` has it where it holds what would turn a line
    around, end it or hide in it (`invoice\\u202efdp.exe`).
    """
    return one_line(name) if _CONTROL.search(name) or visible(name) != name else name


def _continues(text: str, at: int) -> bool:
    """Whether the character there is seen as one with the one before: UAX #29 in short (marks, joiners, Hangul jamo,
    emoji with a skin tone, flags).
    """
    character, before = text[at], text[at - 1]
    if unicodedata.category(character) in ("Mn", "Me", "Mc") or character in "\u200d\u200c" or before == "\u200d":
        return True
    if (
        "\U0001f3fb" <= character <= "\U0001f3ff"
        or _VOWEL_JAMO.match(character)
        or "\U000e0020" <= character <= "\U000e007f"
    ):
        return True
    if _FLAG.match(character) and _FLAG.match(before):
        run = len(text[:at]) - len(text[:at].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
        return run % 2 == 1
    return False


def _shown_in_rows(found: re.Match[str]) -> str:
    return "\u00ad" if found[0] == "\u00ad" else _shown(found)


def _shown(found: re.Match[str]) -> str:
    character = found[0]
    if character in _BLANK:
        return " "
    text, start, end = found.string, found.start(), found.end()
    return character if _needed(character, text[max(0, start - 2) : start], text[end : end + 1]) else ""


def _needed(character: str, before: str, after: str) -> bool:
    """before: two characters at most. What counts stays itself, so that the text is the same when it is read again."""
    last = before[-1:]
    if character == "\u200c":
        return bool(_JOINING.match(last))
    if character == "\u200d":
        picture = last if last != _EMOJI_STYLE else before[:1]
        return bool(_JOINING.match(last)) or bool(_PICTURE.match(picture) and _PICTURE.match(after))
    if character in "\ufe0e\ufe0f":
        return bool(_PICTURE.match(last)) or (after == _KEYCAP and last in "0123456789#*" and bool(last))
    if "\u180b" <= character <= "\u180f":
        return bool(_MONGOLIAN.match(last))
    if character == "\u115f":
        return bool(_VOWEL_JAMO.match(after))
    return character == "\u1160" and bool(_LEADING_JAMO.match(last))
