"""What a paragraph's style makes of it (ECMA-376 part 1, 17.7 and 17.9): heading, list item, caption."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from retrieval.parsing.base.safe import attribute, local

_HEADING = re.compile(r"(?:heading|제목|개요)\s*([1-9])", re.IGNORECASE)
_DEEPEST = 20  # styles that a style builds on
_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)
_GANADA, _CHOSUNG = "가나다라마바사아자차카타파하", "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"


@dataclass(frozen=True, slots=True)
class Style:
    """level: of a heading, from 1. list: numbering id and level."""

    name: str = ""
    level: int | None = None
    list: tuple[str, int] | None = None
    hidden: bool = False

    @property
    def is_contents(self) -> bool:
        return self.name.startswith(("toc ", "table of figures", "목차"))

    @property
    def is_caption(self) -> bool:
        return self.name in ("caption", "캡션")


def child(element: Any, *path: str) -> Any | None:
    """By local names, one a level."""
    for name in path:
        element = next((one for one in element if local(one) == name), None)
        if element is None:
            return None
    return element


def value(element: Any, *path: str) -> str | None:
    found = child(element, *path)
    return None if found is None else attribute(found, "val")


def is_on(element: Any, *path: str) -> bool:
    """A property that is there, and not switched off."""
    found = child(element, *path)
    return found is not None and attribute(found, "val") not in ("0", "false", "off")


class Styles:
    def __init__(self, root: Any | None) -> None:
        self._elements = (
            {} if root is None else {attribute(one, "styleId"): one for one in root if local(one) == "style"}
        )
        default = (
            one
            for one in self._elements.values()
            if attribute(one, "type") == "paragraph" and attribute(one, "default") in ("1", "true")
        )
        self._default = next((attribute(one, "styleId") for one in default), "")
        self._known: dict[str, Style] = {}

    def of(self, paragraph: Any) -> Style:
        """With what the paragraph says itself."""
        properties = child(paragraph, "pPr")
        if properties is None:
            return self._style(self._default)
        style = self._style(value(properties, "pStyle") or self._default)
        own = _described(properties)
        return replace(
            style, level=style.level if own.level is None else own.level or None, list=own.list or style.list
        )

    def _style(self, name: str, depth: int = 0) -> Style:
        if name not in self._known:
            element = self._elements.get(name)
            if element is None or depth > _DEEPEST:
                return Style()
            base = self._style(value(element, "basedOn") or "", depth + 1) if value(element, "basedOn") else Style()
            called = (value(element, "name") or "").lower()
            properties = child(element, "pPr")
            own = _described(properties) if properties is not None else Style()
            level = own.level if own.level is not None else base.level
            if called in ("title", "제목"):
                level = 1
            elif named := _HEADING.fullmatch(called):
                level = int(named[1])
            hidden = is_on(element, "rPr", "vanish")
            self._known[name] = Style(called, level or None, own.list or base.list, hidden or base.hidden)
        return self._known[name]


def _described(properties: Any) -> Style:
    """level 0: body text by its own word."""
    outline = value(properties, "outlineLvl")
    level = None if outline is None or not outline.isdigit() else (int(outline) + 1 if int(outline) < 9 else 0)
    number, depth = value(properties, "numPr", "numId"), value(properties, "numPr", "ilvl")
    listed = (number, int(depth) if depth and depth.isdigit() else 0) if number else None
    return Style(level=level, list=listed)


class Numbering:
    """Counts as the reader of a list does."""

    def __init__(self, root: Any | None) -> None:
        self._abstract: dict[str, dict[int, tuple[str, str, int]]] = {}  # format, text, first number
        self._of: dict[str, str] = {}
        self._counts: defaultdict[str, dict[int, int]] = defaultdict(dict)
        for one in () if root is None else root:
            if local(one) == "abstractNum":
                levels = {_number(attribute(level, "ilvl")): _level(level) for level in one if local(level) == "lvl"}
                self._abstract[attribute(one, "abstractNumId")] = levels
            elif local(one) == "num":
                self._of[attribute(one, "numId")] = value(one, "abstractNumId") or ""

    def mark(self, listed: tuple[str, int]) -> str:
        """ "-" for a bullet, "" for an item that is none after all, else its number as it is written."""
        number, level = listed
        if number == "0":
            return ""
        abstract = self._of.get(number, "")
        levels = self._abstract.get(abstract, {})
        form, text, first = levels.get(level, ("bullet", "", 1))
        if form in ("bullet", "none") or not text:
            return "-"
        counts = self._counts[abstract]
        counts[level] = counts.get(level, first - 1) + 1
        for below in [one for one in counts if one > level]:
            del counts[below]
        return re.sub(r"%([1-9])", lambda match: self._written(levels, counts, int(match[1]) - 1), text)

    @staticmethod
    def _written(levels: dict[int, tuple[str, str, int]], counts: dict[int, int], level: int) -> str:
        form, _, first = levels.get(level, ("decimal", "", 1))
        return _numeral(counts.get(level, first), form)


def _level(level: Any) -> tuple[str, str, int]:
    start = value(level, "start")
    return value(level, "numFmt") or "decimal", value(level, "lvlText") or "", _number(start or "1")


def _number(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 10 else 0


def _numeral(number: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter") and number > 0:
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letter.upper() if form == "upperLetter" else letter
    if form in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        text = ""
        for size, sign in _ROMAN:
            text, number = text + sign * (number // size), number % size
        return text.upper() if form == "upperRoman" else text
    if form == "ganada" and 0 < number <= len(_GANADA):
        return _GANADA[number - 1]
    if form == "chosung" and 0 < number <= len(_CHOSUNG):
        return _CHOSUNG[number - 1]
    if form == "decimalEnclosedCircle" and 0 < number <= 20:
        return chr(ord("①") + number - 1)
    return str(number)
