"""JSON Lines: one object a line, one document a line; BEIR's corpus.jsonl among them."""

from collections.abc import Iterator
from typing import Any

import orjson

from retrieval.parsing.encoding import decode
from retrieval.parsing.errors import ParseError
from retrieval.parsing.records import documents
from retrieval.types import ParsedDocument


def parse(content: bytes, filename: str) -> list[ParsedDocument]:
    """All the file's rows or, where one line is broken, none: ParseError invalid_file names the line."""
    text = decode(content, filename)
    return list(documents(list(_rows(text, filename)), filename, "line"))


def _rows(text: str, filename: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise ParseError("invalid_file", f"{filename}: line {number} is not JSON: {error}") from None
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise ParseError("invalid_file", f"{filename}: line {number} is not a JSON object but a {kind}")
        yield number, record
