"""OpenAI vector-store attribute filters as SQL over a JSON object, every value a bound parameter.

A comparison is {"type": "eq"|"ne"|"gt"|"gte"|"lt"|"lte"|"in"|"nin", "key": …, "value": …}, a compound is
{"type": "and"|"or", "filters": […]}. Types are kept apart (1 is neither "1" nor true). A missing attribute passes
`ne` and `nin` alone. Strings compare by code point, so ISO 8601 dates compare as dates.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.store.types import StoreError

MAX_DEPTH = 8
MAX_CONDITIONS = 100
MAX_VALUES = 1000
MAX_KEY = 256

_ORDERINGS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_FALSE = "0"


class InvalidFilter(StoreError, ValueError):
    """The message begins with the place inside the filter, as `filters.filters[1].value`; param is that place."""

    @property
    def param(self) -> str:
        return str(self).partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Condition:
    sql: str
    values: tuple[str | int | float, ...]


def condition(filters: Mapping[str, Any], column: str) -> Condition:
    """SQL that is true where the JSON object in `column` (ours, not the caller's) passes. Raises InvalidFilter."""
    return _Compiler(column).compile(filters, "filters", 1)


class _Compiler:
    def __init__(self, column: str) -> None:
        self._column = column
        self._conditions = 0

    def compile(self, node: Any, place: str, depth: int) -> Condition:
        if not isinstance(node, Mapping):
            raise InvalidFilter(f"{place} must be an object")
        if depth > MAX_DEPTH:
            raise InvalidFilter(f"{place} is nested deeper than {MAX_DEPTH}")
        kind = node.get("type")
        if kind in ("and", "or"):
            return self._compound(node, kind, place, depth)
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise InvalidFilter(f"filters may hold at most {MAX_CONDITIONS} comparisons")
        return self._comparison(node, kind, place)

    def _compound(self, node: Mapping[str, Any], kind: str, place: str, depth: int) -> Condition:
        _only(node, {"type", "filters"}, place)
        inner = node.get("filters")
        if not isinstance(inner, Sequence) or isinstance(inner, str) or not inner:
            raise InvalidFilter(f"{place}.filters must be a list of at least one filter")
        parts = [self.compile(part, f"{place}.filters[{i}]", depth + 1) for i, part in enumerate(inner)]
        sql = f" {kind.upper()} ".join(part.sql for part in parts)
        return Condition(f"({sql})", tuple(value for part in parts for value in part.values))

    def _comparison(self, node: Mapping[str, Any], kind: Any, place: str) -> Condition:
        _only(node, {"type", "key", "value"}, place)
        build = _COMPARISONS.get(kind) if isinstance(kind, str) else None
        if build is None:
            raise InvalidFilter(f"{place}.type must be one of {', '.join([*_COMPARISONS, 'and', 'or'])}, not {kind!r}")
        if "value" not in node:
            raise InvalidFilter(f"{place}.value is missing")
        path = _path(node.get("key"), f"{place}.key")
        return build(self._column, path, node["value"], f"{place}.value", kind)


def _equal(column: str, path: str, value: Any, place: str, kind: str) -> Condition:
    return _member(column, path, [value], place, kind)


def _in(column: str, path: str, value: Any, place: str, kind: str) -> Condition:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidFilter(f"{place} must be a list")
    if len(value) > MAX_VALUES:
        raise InvalidFilter(f"{place} may hold at most {MAX_VALUES} values")
    return _member(column, path, value, place, kind)


def _member(column: str, path: str, values: Sequence[Any], place: str, kind: str) -> Condition:
    """One of `values`, each compared inside its own type; negated for ne and nin."""
    checked = [_scalar(value, place) for value in values]
    groups = {
        "('text')": [v for v in checked if isinstance(v, str)],
        "('integer', 'real')": [v for v in checked if not isinstance(v, str | bool)],
    }
    parts, bound = [], list[str | int | float]()
    for types, members in groups.items():
        if members:
            value = f"json_extract({column}, ?) IN (SELECT value FROM json_each(?))"  # noqa: S608
            parts.append(f"(json_type({column}, ?) IN {types} AND {value})")
            bound += [path, path, json.dumps(members)]
    for truth in {v for v in checked if isinstance(v, bool)}:
        parts.append(f"json_type({column}, ?) IS '{str(truth).lower()}'")
        bound.append(path)
    either = f"({' OR '.join(parts) or _FALSE})"
    return Condition(f"({either} IS NOT TRUE)" if kind in ("ne", "nin") else either, tuple(bound))


def _ordered(column: str, path: str, value: Any, place: str, kind: str) -> Condition:
    scalar = _scalar(value, place)
    if isinstance(scalar, bool):
        raise InvalidFilter(f"{place} must be a number or a string for {kind}")
    types = "('text')" if isinstance(scalar, str) else "('integer', 'real')"
    sql = f"(json_type({column}, ?) IN {types} AND json_extract({column}, ?) {_ORDERINGS[kind]} ?)"
    return Condition(sql, (path, path, scalar))


_COMPARISONS: dict[str, Callable[[str, str, Any, str, str], Condition]] = {
    "eq": _equal,
    "ne": _equal,
    **dict.fromkeys(_ORDERINGS, _ordered),
    "in": _in,
    "nin": _in,
}


def _only(node: Mapping[str, Any], known: set[str], place: str) -> None:
    if unknown := sorted(str(key) for key in node.keys() - known):
        raise InvalidFilter(f"{place} has an unknown field {unknown[0]!r}")


def _path(key: Any, place: str) -> str:
    """A JSON path to a member of the object; SQLite has no escapes inside a quoted label."""
    if not isinstance(key, str) or not key or len(key) > MAX_KEY:
        raise InvalidFilter(f"{place} must be a string of 1 to {MAX_KEY} characters")
    if any(c in '"\\' or ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in key):
        raise InvalidFilter(f"{place} may not hold quotes, backslashes or control characters")
    return f'$."{key}"'


def _scalar(value: Any, place: str) -> str | bool | int | float:
    if isinstance(value, str):
        if any(0xD800 <= ord(c) < 0xE000 for c in value):
            raise InvalidFilter(f"{place} holds a lone surrogate")
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)
    raise InvalidFilter(f"{place} must be a string, a number or a boolean")
