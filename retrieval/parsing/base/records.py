"""One row of CSV or JSONL to one document: known columns become its text, the others its attributes."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from models.base import Block
from retrieval.columns import CATEGORY, UPDATED, Columns, roles
from retrieval.dates import UPDATED_AT, moment
from retrieval.parsing.base.encoding import clean
from retrieval.parsing.base.errors import ParseError
from retrieval.parsing.base.limits import Budget, Limits, characters
from retrieval.types import Attribute, ParsedDocument

_KEYS = {CATEGORY: CATEGORY, UPDATED: UPDATED_AT}  # roles that are attributes, and their keys
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")
_MAX_KEYS, _MAX_KEY, _MAX_VALUE = 16, 64, 512  # the limits of the OpenAI vector store API
_MAX_TITLE = 300
_MAX_EXACT = 2**53  # beyond it a float loses digits
_MAX_DEPTH = 4


class Record(NamedTuple):
    """number: of its row or line, counted from 1. warning: what its owner should know of how it was read."""

    number: int
    fields: Mapping[str, Any]
    warning: str = ""


def asks(columns: Iterable[str], limits: Limits) -> bool:
    """Whether they are those of questions with their answers."""
    found = set(roles(columns, limits.columns).values())
    return "question" in found and bool(found & {"answer", "text"})


def documents(records: Iterable[Record], unit: str, limits: Limits) -> Iterator[ParsedDocument]:
    """Records to documents, those without text left out.

    Raises ParseError where an id comes twice, and as soon as there are more rows or characters than there may be.
    """
    seen: dict[str, int] = {}
    count, budget = Budget(limits.rows, f"{unit}s"), characters(limits)
    for number, fields, warning in records:
        document = _document(fields, warning, characters(limits), limits.columns)
        if not document.text or document.text.isspace():
            continue
        count.take(1)
        budget.take(len(document.text))
        if document.external_id and (first := seen.setdefault(document.external_id, number)) != number:
            message = f"{unit} {number} repeats the id {document.external_id!r} of {unit} {first}"
            raise ParseError("invalid_file", message)
        yield document


def _document(record: Mapping[str, Any], warning: str, names: Budget, own: Columns) -> ParsedDocument:
    """names: characters of dotted keys, which repeat the outer key for each inner one."""
    parts: dict[str, str] = {}
    columns: dict[str, str] = {}
    fields: list[tuple[str, Any]] = []
    known = roles(record, own)
    for column, value in record.items():
        role = known.get(column)
        if role == UPDATED and moment(value) is None:
            role = None  # no time: an attribute of its own name
        if role and not parts.get(role) and not isinstance(value, dict):
            parts[role], columns[role] = _written(value), _KEYS.get(role) or clean(column).strip()
            if role in ("keywords", *_KEYS):
                fields.append((columns[role], value))
        else:
            fields.extend(_flattened(column, value, 0, names))
    attributes, overflow = _attributes(fields)
    title = parts.get("title") or parts.get("question", "")
    body = [parts.get(role, "") for role in ("question", "text", "answer")]
    if not any(body):
        overflow = [f"{key}: {_written(value)}" for key, value in fields if _written(value)]
    asks = bool(body[0])
    if asks and parts.get("keywords"):
        line = f"{columns['keywords']}: {parts['keywords']}"  # people search by them
        overflow += [line] if line not in overflow else []
    if not any((*body, *overflow)) or len(parts.get("title", "")) > _MAX_TITLE:
        body.insert(0, parts.get("title", ""))
        asks = False
    return ParsedDocument(
        text="\n".join(part for part in (*body, *overflow) if part),
        title=" ".join(title.split()) if len(title) <= _MAX_TITLE else "",
        external_id=parts.get("id", ""),
        attributes=attributes,
        url=parts.get("url", ""),
        warning=warning,
        blocks=_question_and_answer([part for part in body if part]) if asks else (),
    )


def _question_and_answer(body: Sequence[str]) -> tuple[Block, ...]:
    """body: the question, then what answers it, a line break between them."""
    asked, said = len(body[0]), len("\n".join(body))
    answer = (Block("answer", asked + 1, said),) if said > asked else ()
    return Block("question", 0, asked), *answer


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
