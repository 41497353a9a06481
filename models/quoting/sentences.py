"""A passage as the units that may be quoted: sentences, list items, table rows, code blocks, headings; pure.

Hard-wrapped lines are joined, Korean and English sentences cut apart, code and lists kept as they are.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from models.base import Block
from models.quoting.structure import HEADING, blocks

Kind = Literal["sentence", "item", "row", "code", "heading", "reference"]

_SEE_ALSO = re.compile(r"^(See also|Further reading|참고|참고 항목|함께 보기|관련 글):?$", re.IGNORECASE)
# A full stop ends a sentence before a space; after a Korean verb ending also right before the next word.
_BOUNDARY = re.compile(
    r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|(?<=[다요죠까음함임됨오][.!?])(?=[가-힣A-Z(\"'“‘])|(?<=[。！？])(?=\S)"
)
_ABBREVIATION = re.compile(r"(?:^|[\s(.])(?:e\.g|i\.e|etc|cf|vs|approx|No|Mr|Ms|Mrs|Dr|St|Fig|[A-Z])\.$")
_NUMBER_ONLY = re.compile(r"^\(?\d{1,2}[.)]$")


@dataclass(frozen=True, slots=True)
class Unit:
    """text: whitespace as one space, but in code as it is. paragraph: units of one paragraph, list or table share it.

    start, end: in the passage. under: the headings it stands under, outermost first. context: see models.base.Block.
    A reference only names another place to read.
    """

    text: str
    kind: Kind
    paragraph: int
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)
    under: tuple[str, ...] = field(default=(), compare=False)
    context: str = field(default="", compare=False)


def units(passage: str, known: Sequence[Block] = ()) -> list[Unit]:
    """In reading order; nothing but blank lines, rules, fences and headers of tables is left out.

    known: the passage's blocks as its parser saw them; without them they are found in the text.
    """
    found: list[Unit] = []
    parts = known or blocks(passage)
    own_headings = {_named(passage, block) for block in parts if block.kind == "heading" and block.start}
    under: list[tuple[int, str]] = []
    number, last = -1, None
    for block in parts:
        if block.kind in ("question", "answer", "header"):
            continue
        number += last is None or not _together(passage, last, block)
        last = block
        own = _units_of(passage, block, number)
        if block.kind == "heading":
            path = own[0].text.split(" > ") if own and not block.start else []
            if len(path) > 1:
                under = _path(path, own_headings)
            else:
                under = _within(under, _level(passage[block.start : block.end], block.context), own)
        elif (found and _SEE_ALSO.match(found[-1].text)) or (
            found and found[-1].kind == "reference" and found[-1].paragraph == number
        ):
            own = [replace(unit, kind="reference") for unit in own]
        names = tuple(name for _, name in under)
        found += [replace(unit, under=names, context=block.context) for unit in own]
    return found


def _path(names: Sequence[str], elsewhere: Collection[str]) -> list[tuple[int, str]]:
    """(level, name) of what a passage's first line says it is under. elsewhere: headings within the passage, which are
    above nothing that comes before them.
    """
    return [(level, name) for level, name in enumerate(names, 1) if name not in elsewhere]


def _within(under: Sequence[tuple[int, str]], level: int, own: Sequence[Unit]) -> list[tuple[int, str]]:
    """Below a further heading: a section that it ends is above it no more."""
    return [*((above, name) for above, name in under if above < level), *((level, unit.text) for unit in own)]


def _named(passage: str, block: Block) -> str:
    text = " ".join(passage[block.start : block.end].split())
    found = HEADING.match(text)
    return found[2] if found else text


def _together(passage: str, block: Block, following: Block) -> bool:
    """Of one paragraph, list or table: no blank line between them."""
    between = passage[block.end : following.start]
    return "code" not in (block.kind, following.kind) and not re.search(r"\n[^\S\n]*\n", between)


def _units_of(passage: str, block: Block, number: int) -> list[Unit]:
    body = passage[block.start : block.end]
    if block.kind == "code":
        return [Unit(_dedented(body), "code", number, block.start, block.end)] if body.strip() else []
    text, places = _joined(body)
    if not text:
        return []
    if block.kind == "heading":
        name = HEADING.match(text)
        text = name[2] if name else text
        return [Unit(text, "heading", number, block.start, block.end)] if text else []
    if block.kind in ("item", "row"):
        return [Unit(text, "row" if block.kind == "row" else "item", number, block.start, block.end)]
    found, position = [], 0
    for sentence in split_sentences(text):
        first = text.index(sentence, position)
        position = first + len(sentence)
        start, end = block.start + places[first], block.start + places[position - 1] + 1
        found.append(Unit(sentence, "sentence", number, start, end))
    return found


def _joined(body: str) -> tuple[str, list[int]]:
    """Lines as one, and where each character stood; a word that was divided at a line's end is whole again."""
    text: list[str] = []
    places: list[int] = []
    for word in re.finditer(r"\S+", body):
        if text:
            broken = "\n" in body[places[-1] : word.start()]
            if broken and text[-1] == "-" and text[-2:-1] and text[-2].islower() and word[0][0].islower():
                text.pop()
                places.pop()
            else:
                text.append(" ")
                places.append(places[-1])
        text.extend(word[0])
        places.extend(range(word.start(), word.end()))
    return "".join(text), places


def _level(heading: str, above: str) -> int:
    found = HEADING.match(heading.strip())
    return len(found[1]) if found else 1 + len(above.split(" > ") if above else ())


def _dedented(body: str) -> str:
    lines = body.expandtabs(4).splitlines()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[margin:].rstrip() for line in lines).strip("\n")


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
