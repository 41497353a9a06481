"""Markdown: the text as written, cut into sections at its headings.

markdown-it-py finds the headings (so fences, quotes and lists are respected); only its block rules run, in linear time.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from markdown_it import MarkdownIt

from retrieval.parsing.base.encoding import decode, titled
from retrieval.parsing.base.limits import Limits, within
from retrieval.parsing.base.sections import sections
from retrieval.types import ParsedDocument

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^(title|url)[ \t]*:[ \t]*(.+?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_EMPHASIS = re.compile(r"\*+|`+|<[^<>]{1,200}>")

_MAX_HEADING = 300  # characters: more is a paragraph over a rule that touches it

_blocks = MarkdownIt("commonmark").disable(["inline", "reference"])


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    text = decode(content, most=limits.characters)
    within(limits.lines, text.count("\n") + 1, "lines of Markdown")
    fields: dict[str, str] = {}
    if front := _FRONT_MATTER.match(text):
        fields = {key.lower(): value.strip("\"'") for key, value in _FIELD.findall(front.group(1) or "")}
        text = text[front.end() :]
    headings = list(_headings(text))
    title = fields.get("title") or next((name for _, _, name in headings if name), titled(filename))
    return [ParsedDocument(text=text, title=title, sections=sections(headings), url=fields.get("url", ""))]


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    tokens = _blocks.parse(text)
    line, offset = 0, 0
    for opening, inline in pairwise(tokens):
        heading = opening.type == "heading_open" and not opening.level and len(inline.content) <= _MAX_HEADING
        if not heading or not opening.map:
            continue
        while line < opening.map[0]:
            offset = text.index("\n", offset) + 1
            line += 1
        yield offset, int(opening.tag[1]), _plain(inline.content)


def _plain(heading: str) -> str:
    return " ".join(_EMPHASIS.sub("", _LINK.sub(r"\1", heading)).split())
