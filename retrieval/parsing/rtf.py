"""RTF to paragraphs, by striprtf: its code pages and `\\u` are right, its styles are not told."""

import re

from striprtf.striprtf import rtf_to_text

from retrieval.parsing.base.building import Builder
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits, within
from retrieval.types import ParsedDocument

_TITLE = re.compile(r"\{\\title\s+((?:[^{}\\]|\\[^{}]){1,400})\}")
_DEEPEST = 2000  # groups inside groups; Word writes some tens
_GROUP = re.compile(r"(?<!\\)[{}]")
_PARAGRAPHS = re.compile(r"\n\s*\n|\n")


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """Raises ParseError."""
    source = content.decode("latin-1")  # RTF is ASCII; what is not stands for itself in its code page
    within(limits.characters, len(source), "characters of RTF")
    if _depth(source) > _DEEPEST:
        raise ParseError("invalid_file", f"its groups stand more than {_DEEPEST} deep: save it again and send it")
    try:
        text = _plain(source)
    except (ValueError, LookupError, TypeError, RecursionError, OverflowError) as error:
        raise ParseError("invalid_file", f"it is damaged RTF: {error}; save it again and send it") from None
    builder = Builder(limits)
    for paragraph in _PARAGRAPHS.split(text):
        builder.paragraph(paragraph)
    named = _TITLE.search(source[:4096])
    title = _plain("{\\rtf1\\ansi " + named[1] + "}") if named else ""
    return [builder.build(filename, title)]


def _plain(source: str) -> str:
    return str(rtf_to_text(source, errors="replace"))  # type: ignore[no-untyped-call]


def _depth(source: str) -> int:
    depth = deepest = 0
    for brace in _GROUP.finditer(source):
        depth += 1 if brace[0] == "{" else -1
        deepest = max(deepest, depth)
    return deepest
