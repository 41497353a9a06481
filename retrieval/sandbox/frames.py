"""What passes through the pipes, as plain data: a child that a file has taken over can send lies, but no objects.

A frame is a letter, eight bytes of its length and that many bytes. To the child: "Q" a request, then "B" the file. From
it: "H" once, ready; then to a request what was asked for, and "E" the end, or "F" a failure.

Asked to parse: "D" a list of documents, as often as needed. Before, where it may ask for OCR: "S" how many pages of a
scan there are, "P" a page's picture; each picture is answered in its turn, by "T" tesseract's words or "N" why there
are none. Asked for one page: "P" its picture, or "W" its words.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, get_args

import orjson

from models.base import Block, BlockKind
from retrieval.parsing.base.errors import ParseErrorCode
from retrieval.places import Box, Region
from retrieval.types import ParsedDocument, Section

HEAD = 9
_VALUES = (str, int, float, bool)
_EDGES = 16  # bytes of a character's box
_TOGETHER = 1 << 18  # characters of text in one list, about
_KINDS = frozenset(get_args(BlockKind))
CODES = frozenset(get_args(ParseErrorCode))
NO_PAGE = "no_page"  # a code beside them: it has no such page
PICTURE_SECONDS = 10  # for drawing one, of wall and of CPU time


class Garbage(ValueError):
    """The child has sent what no parser says."""


def frame(letter: bytes, payload: bytes) -> bytes:
    return letter + len(payload).to_bytes(8, "big") + payload


def head(start: bytes) -> tuple[bytes, int]:
    """Letter and length of what follows."""
    return start[:1], int.from_bytes(start[1:HEAD], "big")


def packed(documents: Iterable[ParsedDocument]) -> Iterator[bytes]:
    """Frames of them."""
    batch, size = [], 0
    for document in documents:
        batch.append(_packed(document))
        size += len(document.text) + 1000
        if size >= _TOGETHER:
            yield frame(b"D", orjson.dumps(batch))
            batch, size = [], 0
    if batch:
        yield frame(b"D", orjson.dumps(batch))


def unpacked(payloads: Iterable[bytes], characters: int) -> list[ParsedDocument]:
    """Raises Garbage where anything is not what a parser may give. characters: the most of all texts together."""
    documents: list[ParsedDocument] = []
    for payload in payloads:
        try:
            documents += [_unpacked(*each) for each in orjson.loads(payload)]
        except (ValueError, TypeError, OverflowError) as error:  # orjson.JSONDecodeError is a ValueError
            raise Garbage(str(error)[:200]) from None
    _check(bool(documents), "no documents")
    _check(sum(len(document.text) for document in documents) <= characters, "too much text")
    return documents


def _packed(document: ParsedDocument) -> list[Any]:
    return [
        document.text,
        document.title,
        document.external_id,
        dict(document.attributes),
        [[each.start, each.headings, each.page] for each in document.sections],
        document.url,
        document.warning,
        [[each.kind, each.start, each.end, each.context] for each in document.blocks],
        [_packed_region(each) for each in document.regions],
        document.member,
    ]


def _packed_region(region: Region) -> list[Any]:
    edges = base64.b64encode(region.edges).decode() if region.edges else ""
    box = list(region.box) if region.box else None  # orjson takes no named tuples
    return [region.start, region.end, region.page, box, edges, region.slide, region.sheet, region.cells]


def _unpacked(
    text: Any,
    title: Any,
    external_id: Any,
    attributes: Any,
    sections: Any,
    url: Any,
    warning: Any,
    blocks: Any,
    regions: Any,
    member: Any,
) -> ParsedDocument:
    _check(all(type(each) is str for each in (text, title, external_id, url, warning, member)), "not text")
    _check(bool(text) and not text.isspace(), "empty text")
    _check(type(attributes) is dict and all(type(v) in _VALUES for v in attributes.values()), "attributes")
    found = tuple(_section(*each) for each in sections)
    _ascending([each.start for each in found], "sections")
    _check(all(each.start <= len(text) for each in found), "sections")
    parts = tuple(_block(len(text), *each) for each in blocks)
    _ascending([each.start for each in parts], "blocks")
    places = tuple(_region(len(text), *each) for each in regions)
    _ascending([offset for each in places for offset in (each.start, each.end)], "regions")
    return ParsedDocument(text, title, external_id, attributes, found, url, warning, parts, places, member)


def _section(start: Any, headings: Any, page: Any) -> Section:
    _check(type(start) is int and type(headings) is list and all(type(each) is str for each in headings), "section")
    return Section(start, tuple(headings), _number(page))


def _block(length: int, kind: Any, start: Any, end: Any, context: Any) -> Block:
    _check(kind in _KINDS and type(context) is str, "block")
    return Block(kind, *_inside(length, start, end), context)


def _region(
    length: int, start: Any, end: Any, page: Any, box: Any, edges: Any, slide: Any, sheet: Any, cells: Any
) -> Region:
    start, end = _inside(length, start, end)
    _check(type(sheet) is str and type(cells) is str and type(edges) is str, "region")
    drawn = base64.b64decode(edges, validate=True)
    _check(len(drawn) in (0, _EDGES * (end - start)), "edges")
    if box is not None:
        _check(type(box) is list and len(box) == 4 and all(type(each) in (int, float) for each in box), "box")
        box = Box(*(float(each) for each in box))
    return Region(start, end, _number(page), box, drawn, _number(slide), sheet, cells)


def _inside(length: int, start: Any, end: Any) -> tuple[int, int]:
    _check(type(start) is int and type(end) is int and 0 <= start <= end <= length, "offsets")
    return start, end


def _number(value: Any) -> int | None:
    """A page's or a slide's."""
    _check(value is None or (type(value) is int and 0 <= value < 1 << 31), "number")
    number: int | None = value
    return number


def _ascending(offsets: Sequence[int], what: str) -> None:
    _check(all(a <= b for a, b in pairwise(offsets)) and (not offsets or offsets[0] >= 0), what)


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise Garbage(what)
