"""A passage as the units that may be quoted: sentences, list items, code blocks, headings; pure.

Hard-wrapped lines are joined, Korean and English sentences cut apart, code and lists kept as they are.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["sentence", "item", "code", "heading", "reference"]

_RULE = re.compile(r"^\s*([=*\-~^_#])\1{2,}\s*$")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)\s*#*$")
_BULLET = re.compile(r"^\s*(?:[-*+•▪◦‣·※]|\(?\d{1,2}[.)]|[①-⑳]|[가-하][.)])\s+\S")
_LABEL = re.compile(r"^[\w\s]+:$")
_SEE_ALSO = re.compile(r"^(See also|Further reading|참고|참고 항목|함께 보기|관련 글):?$", re.IGNORECASE)
_FENCE = re.compile(r"^\s*(```|~~~)")
_ENDS = re.compile(r"[.!?…。！？:：][\"'”’)\]]*$")
# A full stop ends a sentence before a space; after a Korean verb ending also right before the next word.
_BOUNDARY = re.compile(
    r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|(?<=[다요죠까음함임됨오][.!?])(?=[가-힣A-Z(\"'“‘])|(?<=[。！？])(?=\S)"
)
_ABBREVIATION = re.compile(r"(?:^|[\s(.])(?:e\.g|i\.e|etc|cf|vs|approx|No|Mr|Ms|Mrs|Dr|St|Fig|[A-Z])\.$")
_NUMBER_ONLY = re.compile(r"^\(?\d{1,2}[.)]$")
_REFERENCE = re.compile(r"(?<![\w)\]])\[(\d{1,3}(?:, ?\d{1,3})*)\](?!\()")
_WRAPPED = 50  # a line shorter than this that ends without a stop was not wrapped, it is a line of its own
_CODE_INDENT = 3


@dataclass(frozen=True, slots=True)
class Unit:
    """text: whitespace as one space, but in code as it is. paragraph: units of one paragraph or list share it.

    A reference only names another place to read.
    """

    text: str
    kind: Kind
    paragraph: int


def units(passage: str) -> list[Unit]:
    """In reading order; nothing but blank lines, rules and fences is left out."""
    found: list[Unit] = []
    for number, block in enumerate(_blocks(passage.expandtabs(4).splitlines())):
        refers = bool(found) and _SEE_ALSO.match(found[-1].text) is not None
        own = _units_of(block, number)
        found += [replace(unit, kind="reference") for unit in own] if refers else own
    return found


def _blocks(lines: list[str]) -> list[list[str]]:
    """Runs of lines between blank lines; a fenced block is one, its blank lines included."""
    blocks: list[list[str]] = []
    block: list[str] = []
    fenced = False
    for line in lines:
        fence = _FENCE.match(line) is not None
        if (fence and not fenced) or (not fenced and not line.strip()):
            blocks, block = [*blocks, block], []
        if line.strip() or fenced:
            block.append(line)
        if fence and fenced:
            blocks, block = [*blocks, block], []
        fenced ^= fence
    return [block for block in [*blocks, block] if block]


def _units_of(block: list[str], number: int) -> list[Unit]:
    if _FENCE.match(block[0]):
        body = block[1:-1] if len(block) > 1 and _FENCE.match(block[-1]) else block[1:]
        return [Unit("\n".join(body), "code", number)] if body else []
    if _is_code(block):
        return [Unit(_dedent(block), "code", number)]
    found: list[Unit] = []
    for text, kind in _joined(block):
        if kind == "sentence":
            found += [Unit(sentence, kind, number) for sentence in split_sentences(text)]
        elif text:
            found.append(Unit(text, kind, number))
    return found


def _is_code(block: list[str]) -> bool:
    """Indented, no list, and no line ends as prose does."""
    if any(len(line) - len(line.lstrip()) < _CODE_INDENT for line in block) or _BULLET.match(block[0]):
        return False
    if len(block) == 1 and _LABEL.match(block[0]):
        return False
    return not any(line.rstrip().endswith((".", "!", "?", "다", "요")) for line in block)


def _dedent(block: list[str]) -> str:
    margin = min(len(line) - len(line.lstrip()) for line in block)
    return "\n".join(line[margin:].rstrip() for line in block)


def _joined(block: list[str]) -> list[tuple[str, Kind]]:
    """Wrapped lines as one text; headings, list items and lines of their own apart."""
    texts: list[tuple[str, Kind]] = []
    wrapped = False
    for index, line in enumerate(block):
        text = " ".join(line.split())
        heading = _HEADING.match(line)
        underlined = index + 1 < len(block) and _RULE.match(block[index + 1]) is not None
        if _RULE.match(line):
            wrapped = False
        elif heading or underlined:
            texts.append((" ".join(heading[1].split()) if heading else text, "heading"))
            wrapped = False
        elif wrapped and not _BULLET.match(line):
            texts[-1] = (f"{texts[-1][0]} {text}", texts[-1][1])
            wrapped = _goes_on(line, texts[-1][1])
        else:
            kind: Kind = "item" if _BULLET.match(line) else "sentence"
            texts.append((text, kind))
            wrapped = _goes_on(line, kind)
    return texts


def _goes_on(line: str, kind: Kind) -> bool:
    """Whether the next line belongs to the same text."""
    return kind == "item" or len(line.strip()) >= _WRAPPED or (len(line) >= 20 and line.rstrip().endswith(","))


def split_sentences(text: str) -> list[str]:
    """Korean and English sentences of one paragraph, their marks of punctuation kept."""
    sentences: list[str] = []
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        candidate = text[start : boundary.end()].strip()
        goes_on = text[boundary.end() : boundary.end() + 1].islower()
        if goes_on or _ABBREVIATION.search(candidate) or _NUMBER_ONLY.match(candidate):
            continue
        sentences.append(candidate)
        start = boundary.end()
    rest = text[start:].strip()
    return [sentence for sentence in [*sentences, rest] if sentence]


def unmarked(text: str) -> str:
    """A document's own `[3]` as `(3)`: in an answer it would cite the wrong source."""
    return _REFERENCE.sub(r"(\1)", text)
