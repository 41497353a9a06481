"""One row of CSV or JSONL to one document: known columns become its text, the others its attributes."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from retrieval.parsing.encoding import clean
from retrieval.parsing.errors import ParseError
from retrieval.parsing.limits import Budget, Limits, characters
from retrieval.types import Attribute, ParsedDocument

_COLUMNS = {
    "id": ("_id", "id", "external_id"),
    "title": ("title", "제목", "subject"),
    "question": ("question", "질문", "문의"),
    "text": ("text", "content", "contents", "body", "내용", "본문", "passage"),
    "answer": ("answer", "답변", "답", "response"),
    "url": ("url", "link", "링크"),
}
_ROLE = {name: role for role, names in _COLUMNS.items() for name in names}
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")
_MAX_KEYS, _MAX_KEY, _MAX_VALUE = 16, 64, 512  # the limits of the OpenAI vector store API
_MAX_TITLE = 300
_MAX_EXACT = 2**53  # beyond it a float loses digits
_MAX_DEPTH = 4


def known(column: str) -> bool:
    return column.strip().casefold() in _ROLE


def documents(
    rows: Iterable[tuple[int, Mapping[str, Any]]], filename: str, unit: str, limits: Limits
) -> Iterator[ParsedDocument]:
    """(number, record) pairs to documents, rows without text left out.

    Raises ParseError where an id comes twice, and as soon as there are more rows or characters than there may be.
    """
    seen: dict[str, int] = {}
    count, budget = Budget(limits.rows, filename, f"{unit}s"), characters(limits, filename)
    for number, record in rows:
        document = _document(record, characters(limits, filename))
        if not document.text or document.text.isspace():
            continue
        count.take(1)
        budget.take(len(document.text))
        if document.external_id and (first := seen.setdefault(document.external_id, number)) != number:
            message = f"{filename}: {unit} {number} repeats the id {document.external_id!r} of {unit} {first}"
            raise ParseError("invalid_file", message)
        yield document


def _document(record: Mapping[str, Any], names: Budget) -> ParsedDocument:
    """names: characters of dotted keys, which repeat the outer key for each inner one."""
    parts: dict[str, str] = {}
    fields: list[tuple[str, Any]] = []
    for column, value in record.items():
        role = _ROLE.get(column.strip().casefold())
        if role and not parts.get(role) and not isinstance(value, dict):
            parts[role] = _written(value)
        else:
            fields.extend(_flattened(column, value, 0, names))
    attributes, overflow = _attributes(fields)
    title = parts.get("title") or parts.get("question", "")
    body = [parts.get(role, "") for role in ("question", "text", "answer")]
    if not any(body):
        overflow = [f"{key}: {_written(value)}" for key, value in fields if _written(value)]
    if not any((*body, *overflow)) or len(parts.get("title", "")) > _MAX_TITLE:
        body.insert(0, parts.get("title", ""))
    return ParsedDocument(
        text="\n".join(part for part in (*body, *overflow) if part),
        title=title if len(title) <= _MAX_TITLE else "",
        external_id=parts.get("id", ""),
        attributes=attributes,
        url=parts.get("url", ""),
    )


def _flattened(key: str, value: Any, depth: int, names: Budget) -> Iterator[tuple[str, Any]]:
    """Nested objects to dotted keys (`metadata` is BEIR's envelope and leaves no prefix); lists to one value."""
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        for inner, item in value.items():
            names.take(len(key) + len(inner))
            name = inner if key == "metadata" and not depth else f"{key}.{inner}"
            yield from _flattened(name, item, depth + 1, names)
    else:
        yield clean(key).strip(), value


def _attributes(fields: Iterable[tuple[str, Any]]) -> tuple[dict[str, Attribute], list[str]]:
    """(attributes within the limits, what does not fit as lines of text)."""
    attributes: dict[str, Attribute] = {}
    overflow: list[str] = []
    for key, value in fields:
        typed = _typed(value)
        if typed is None:
            continue
        fits = 0 < len(key) <= _MAX_KEY and not (isinstance(typed, str) and len(typed) > _MAX_VALUE)
        if fits and key not in attributes and len(attributes) < _MAX_KEYS:
            attributes[key] = typed
        else:
            overflow.append(f"{key}: {_written(value)}")
    return attributes, overflow


def _typed(value: Any) -> Attribute | None:
    """A cell as number, boolean or string; None for nothing. `007` and `010-1234` stay as they are."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if math.isfinite(value) and abs(value) <= _MAX_EXACT else _written(value)
    written = _written(value)
    if isinstance(value, str):
        if _NUMBER.fullmatch(written):
            return float(written) if "." in written else int(written)
        if written.casefold() in ("true", "false"):
            return written.casefold() == "true"
    return written or None


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return clean(value).strip()
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return clean(", ".join(str(item) for item in value))
    if not isinstance(value, dict | list):
        return clean(str(value))
    try:
        return clean(orjson.dumps(value).decode())
    except orjson.JSONEncodeError as error:
        raise ParseError("invalid_file", f"a value cannot be read: {error}") from None
