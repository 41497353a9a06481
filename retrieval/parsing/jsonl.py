"""JSON Lines: one object a line, one document a line; BEIR's corpus.jsonl among them."""

from collections.abc import Iterator

import orjson

from retrieval.parsing.base.encoding import decode
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Limits, within
from retrieval.parsing.base.records import Record, documents
from retrieval.types import ParsedDocument


def parse(content: bytes, filename: str, limits: Limits) -> list[ParsedDocument]:
    """All the file's rows or, where one line is broken, none: ParseError invalid_file names the line."""
    text = decode(content, lines=False)
    return list(documents(_rows(text, limits), "line", limits))


def _rows(text: str, limits: Limits) -> Iterator[Record]:
    for number, line in enumerate(_lines(text, limits), start=1):
        if not line or line.isspace():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ParseError("invalid_file", f"line {number} is not JSON: {error}") from None
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise ParseError("invalid_file", f"line {number} is not a JSON object but a {kind}")
        yield Record(number, record)


def _lines(text: str, limits: Limits) -> Iterator[str]:
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        within(limits.line, end - position, "characters in one line")
        yield text[position:end]
        position = end + 1
