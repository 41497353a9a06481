"""What a parser knew of a document's parts, as each passage needs it: a table's header, code that was cut; pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from models.base import Block
from models.quoting.structure import beside, blocks
from retrieval.types import ParsedDocument

_AROUND = "answer"


def of_document(document: ParsedDocument) -> list[Block]:
    """All of its blocks, ascending: the parser's, and between them those that the text shows."""
    around = [block for block in document.blocks if block.kind == _AROUND]
    inner = [block for block in document.blocks if block.kind != _AROUND]
    return sorted([*around, *beside(document.text, inner)], key=lambda block: block.start)


def within(known: Sequence[Block], text: str, start: int, end: int) -> tuple[Block, ...]:
    """Those of the passage `text`, the document's [start, end); none where the passage alone shows the same."""
    around = [block for block in known if block.kind == _AROUND]
    inner = [block for block in known if block.kind != _AROUND]
    first = bisect_right(inner, start, key=lambda block: block.end)
    last = bisect_left(inner, end, key=lambda block: block.start)
    held = [*(one for one in around if one.end > start and one.start < end), *inner[first:last]]
    own = [replace(one, start=max(one.start, start) - start, end=min(one.end, end) - start) for one in held]
    own.sort(key=lambda block: block.start)
    return () if own == blocks(text) else tuple(own)
