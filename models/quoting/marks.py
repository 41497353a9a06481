"""The one grammar of a citation mark: what a generator writes, and what of a document looks like it; pure.

`[n]` in ASCII, spaces and short lists included, is a mark (NUMBERS). A document's own `[n]` would cite a source of ours
that it never meant: it becomes `(n)` before it stands in a prompt or in an answer, with all that a reader, a model or a
client could take for it: other brackets and digits, HTML entities, footnotes, what holds characters that nobody sees.
A subscript (`x[1]`) is no mark in either direction: `reads_as_code` decides for both.
"""

import html
import re
import unicodedata
from collections.abc import Sequence

NUMBERS = r"\[ {0,2}[0-9]{1,3} {0,2}(?:, {0,2}[0-9]{1,3} {0,2}){0,7}"
TAIL = 48  # characters before a mark that decide whether it is a subscript

_OPENING, _CLOSING = "[［【〔〖〘〚⟦⟬❲﹝⁅⦋⦍⦏⦗", "]］】〕〗〙〛⟧⟭❳﹞⁆⦌⦎⦐⦘"
_PLAIN = dict.fromkeys(_OPENING, "[") | dict.fromkeys(_CLOSING, "]") | dict.fromkeys("，、،؛；;", ",")
_ENTITY = r"&(?:amp;)*(?:\#[0-9]{1,8}|\#[xX][0-9a-fA-F]{1,7}|[A-Za-z]{2,10});"
_PIECE = re.compile(rf"{_ENTITY}|\\(?=[{re.escape(_OPENING + _CLOSING)}])|.", re.DOTALL)
_MAY_HOLD = re.compile(rf"[{re.escape(_OPENING)}]|{_ENTITY}")
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]")
# Of a text in plain characters: wider than NUMBERS, since a model or a client may read more than we do.
_LIKE = re.compile(r"\[ {0,8}\^? {0,2}[0-9]{1,3}(?:[ ,~–—-]{1,6}[0-9]{1,3}){0,15}[ ,]{0,8}(?:†[^\[\]\n]{0,40})?\]")
_MARK = re.compile(rf"{NUMBERS}\]")
_SUBSCRIPTS = re.compile(r"(?:\[[^\[\]\n]*\])+\Z")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_](?:[\w.]*\w)?\Z", re.ASCII)
_ENDS_PROSE = re.compile(r"(?:[.!?…。！？]|[^\W\d_A-Za-z])[\"'”’)]* ?\Z")


def reads_as_code(before: str) -> bool:
    """Whether `[1]` right after this text is a subscript or a list: after `=`, `()`, or a name that no plain word is.

    before: TAIL characters decide.
    """
    name = _SUBSCRIPTS.sub("", before)
    if name.endswith("()") or name.rstrip(" ").endswith("="):
        return True
    found = _NAME.search(name)
    return found is not None and (len(found[0]) == 1 or not found[0].isalpha())


def neutral(text: str, code: Sequence[tuple[int, int]] = ()) -> str:
    """The same to a reader, without anything that is or looks like a mark: `X이다[2].` is `X이다(2).`

    code: stretches of `text` that are programs, whose brackets stay: but where they follow what no program has before
    a subscript, a full stop or a word of another script, since anyone can put a fence around a sentence.
    """
    if not _MAY_HOLD.search(text):
        return text
    plain, places = _in_plain_characters(text)
    said, done = "", 0
    for found in _LIKE.finditer(plain):
        start, end = places[found.start()][0], places[found.end() - 1][1]
        said += text[done:start]
        done = end
        if _stays(text[start:end], said[-TAIL:], inside=_within(start, code)):
            said += text[start:end]
            continue
        numbers = found[0][1:-1].partition("†")[0].replace("^", "").strip(" ,")
        said += f"({numbers}) " if text[end : end + 1] == "(" else f"({numbers})"
    return said + text[done:]


def _stays(brackets: str, before: str, *, inside: bool) -> bool:
    """inside: of code."""
    if inside and brackets.isascii():
        return not _ENDS_PROSE.search(before)
    return _MARK.fullmatch(brackets) is not None and reads_as_code(before)


def _within(place: int, stretches: Sequence[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in stretches)


def _in_plain_characters(text: str) -> tuple[str, list[tuple[int, int]]]:
    """ASCII brackets, digits, commas and spaces for all that stand for them; each character's place in `text`."""
    plain: list[str] = []
    places: list[tuple[int, int]] = []
    start = 0
    for piece in _PIECE.finditer(text):
        if piece[0] == "\\":
            continue  # a bracket's escape goes with it
        for character in _unescaped(piece[0]):
            if (one := _plain(character)) is not None:
                plain.append(one)
                places.append((start, piece.end()))
        start = piece.end()
    return "".join(plain), places


def _unescaped(piece: str) -> str:
    while len(piece) > 1 and (once := html.unescape(piece)) != piece:
        piece = once
    return piece


def _plain(character: str) -> str | None:
    """None for what nobody sees."""
    if character in _PLAIN:
        return _PLAIN[character]
    if character.isspace():
        return " "
    if character.isascii():
        return None if unicodedata.category(character) == "Cc" else character
    if (digit := unicodedata.digit(character, None)) is not None:
        return str(digit)
    unseen = unicodedata.category(character) in ("Cf", "Cc", "Mn") or _UNSEEN.match(character)
    return None if unseen else character
