"""A text as blocks: paragraphs, list items, table rows, code, headings, each with its place; pure, in one pass.

For Markdown and plain text. What it cannot know is left to whoever parsed the document: see models.base.Block.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from models.base import Block
from models.quoting.lines import go_on

RULE = re.compile(r"^\s*([=*\-~^_#])\1{2,}\s*$")
HEADING = re.compile(r"^\s{0,3}(#{1,6})\s+(.*?)\s*#*$")
BULLET = re.compile(r"^\s*(?:[-*+•▪◦‣·※]|\(?\d{1,2}[.)]|[①-⑳]|[가-하][.)])\s+\S")
_FENCE = re.compile(r"^\s*(```|~~~)")
_LABEL = re.compile(r"^[\w\s]+:$")
_SEPARATOR = re.compile(r"^\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$")
_CELL = re.compile(r"(?<!\\)\|")
_INTRODUCES = re.compile(r"[:：]$|(?:다음과 같|아래와 같|이렇게|순서로|따라)[^.]*\.$")
_CODE_INDENT = 3


@dataclass(frozen=True, slots=True)
class Line:
    """text: without its newline, tabs as four spaces. start, end: in the whole text."""

    text: str
    start: int
    end: int


def blocks(text: str) -> list[Block]:
    """In reading order; rules, fences and a table's header and border are in none of them."""
    found: list[Block] = []
    lead = ""
    for run in _runs(_lines(text)):
        own = list(_fenced(run) if _FENCE.match(run[0].text) else _of_run(run, lead))
        found += own
        if own and own[-1].kind != "item":
            lead = _introduction(text[own[-1].start : own[-1].end]) if own[-1].kind == "prose" else ""
    return found


def beside(text: str, known: Sequence[Block]) -> list[Block]:
    """The known blocks, and those that are found in the text between them. known: ascending, apart from each other."""
    found: list[Block] = []
    start = 0
    for block in [*known, Block("prose", len(text), len(text))]:
        between = blocks(text[start : block.start])
        found += [replace(one, start=start + one.start, end=start + one.end) for one in between]
        if block.end > block.start:
            found.append(block)
        start = max(start, block.end)
    return found


def cells(row: str) -> list[str]:
    """Of a line of a table, its outer borders left out."""
    parts = [cell.strip().replace("\\|", "|") for cell in _CELL.split(row.strip())]
    if parts and not parts[0]:
        parts = parts[1:]
    return parts[:-1] if parts and not parts[-1] else parts


def _lines(text: str) -> list[Line]:
    found, start = [], 0
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
        found.append(Line(bare.expandtabs(4), start, start + len(bare)))
        start += len(line)
    return found


def _runs(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Lines between blank lines; a fenced block is one, its blank lines included."""
    run: list[Line] = []
    fenced = False
    for line in lines:
        fence = _FENCE.match(line.text) is not None
        if (fence and not fenced) or (not fenced and not line.text.strip()):
            if run:
                yield run
            run = []
        if line.text.strip() or fenced:
            run.append(line)
        if fence and fenced:
            yield run
            run = []
        fenced ^= fence
    if run:
        yield run


def _fenced(run: Sequence[Line]) -> Iterator[Block]:
    body = run[1:-1] if len(run) > 1 and _FENCE.match(run[-1].text) else run[1:]
    if body:
        yield Block("code", body[0].start, body[-1].end)


def _of_run(run: list[Line], lead: str) -> Iterator[Block]:
    if _is_code(run):
        yield Block("code", run[0].start, run[-1].end)
        return
    index = 0
    while index < len(run):
        length = _table_length(run, index)
        if length:
            yield from _rows(run[index : index + length])
        elif HEADING.match(run[index].text) or (index + 1 < len(run) and _underlines(run, index + 1)):
            length = 1
            yield Block("heading", run[index].start, run[index].end)
        elif RULE.match(run[index].text):
            length = 1
        elif BULLET.match(run[index].text):
            length = _item_length(run, index)
            yield Block("item", run[index].start, run[index + length - 1].end, lead)
        else:
            length = _prose_length(run, index)
            yield Block("prose", run[index].start, run[index + length - 1].end)
            lead = _introduction(" ".join(line.text for line in run[index : index + length]))
        index += length


def _underlines(run: Sequence[Line], index: int) -> bool:
    above = run[index - 1].text
    return RULE.match(run[index].text) is not None and not BULLET.match(above) and not RULE.match(above)


def _is_code(run: Sequence[Line]) -> bool:
    """Indented, no list, and no line ends as prose does."""
    if any(len(line.text) - len(line.text.lstrip()) < _CODE_INDENT for line in run) or BULLET.match(run[0].text):
        return False
    if len(run) == 1 and _LABEL.match(run[0].text):
        return False
    return not any(line.text.rstrip().endswith((".", "!", "?", "다", "요")) for line in run)


def _table_length(run: Sequence[Line], index: int) -> int:
    """Lines of the table that begins here, 0 where none does: two lines of as many cells, or one within borders."""
    width = len(cells(run[index].text))
    if not _CELL.search(run[index].text):
        return 0
    length = 1
    while index + length < len(run) and _is_row(run[index + length].text, width):
        length += 1
    bordered = run[index].text.strip().startswith("|") and run[index].text.strip().endswith("|")
    return length if (length > 1 and width > 1) or bordered else 0


def _is_row(line: str, width: int) -> bool:
    return _CELL.search(line) is not None and (len(cells(line)) == width or _SEPARATOR.match(line) is not None)


def _rows(table: Sequence[Line]) -> Iterator[Block]:
    """The rows below a header: the line over a border or, without a border, a first line without a digit."""
    bordered = len(table) > 1 and _SEPARATOR.match(table[1].text) is not None
    named = bordered or (len(table) > 1 and not re.search(r"\d", table[0].text))
    header = table[0].text.strip() if named else ""
    for line in table[1:] if named else table:
        if not _SEPARATOR.match(line.text):
            yield Block("row", line.start, line.end, header)


def _item_length(run: Sequence[Line], index: int) -> int:
    length = 1
    while index + length < len(run) and _continues(run, index + length):
        length += 1
    return length


def _continues(run: Sequence[Line], index: int) -> bool:
    line = run[index].text
    if BULLET.match(line) or HEADING.match(line) or RULE.match(line):
        return False
    return not (index + 1 < len(run) and _underlines(run, index + 1))


def _prose_length(run: Sequence[Line], index: int) -> int:
    length = 1
    while index + length < len(run) and _continues(run, index + length) and not _table_length(run, index + length):
        length += 1
    lines = [line.text for line in run[index : index + length]]
    return go_on(lines).index(False) + 1


def _introduction(prose: str) -> str:
    """What introduces a list that follows: a line that ends with a colon, or a Korean one that says so."""
    said = " ".join(prose.split())
    return said if _INTRODUCES.search(said) else ""
