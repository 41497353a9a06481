"""JSON Lines: one object a line, one document a line; BEIR's corpus.jsonl among them."""

from collections.abc import Iterator
from typing import Any

import orjson

from retrieval.parsing.encoding import decode
from retrieval.parsing.errors import ParseError
from retrieval.parsing.limits import Limits, within
from retrieval.parsing.records import documents
from retrieval.types import ParsedDocument


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """All the file's rows or, where one line is broken, none: ParseError invalid_file names the line."""
    text = decode(content, filename)
    return list(documents(_rows(text, filename, limits), filename, "line", limits))


def _rows(text: str, filename: str, limits: Limits) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_lines(text, filename, limits), start=1):
        if not line or line.isspace():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ParseError("invalid_file", f"{filename}: line {number} is not JSON: {error}") from None
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise ParseError("invalid_file", f"{filename}: line {number} is not a JSON object but a {kind}")
        yield number, record


def _lines(text: str, filename: str, limits: Limits) -> Iterator[str]:
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        within(limits.line, end - position, filename, "characters in one line")
        yield text[position:end]
        position = end + 1
