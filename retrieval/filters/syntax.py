"""OpenAI vector-store attribute filters as a tree, checked whole.

A comparison is {"type": "eq"|"ne"|"gt"|"gte"|"lt"|"lte"|"in"|"nin", "key": …, "value": …}, a compound is
{"type": "and"|"or", "filters": […]}. Types are kept apart (1 is neither "1" nor true). A missing attribute passes
`ne` and `nin` alone. Strings compare by code point, so ISO 8601 dates compare as dates; keys and
strings in NFC, as is what they are compared with: macOS writes names in more characters than others do.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard, get_args

from retrieval.characters import same

MAX_DEPTH = 8
MAX_CONDITIONS = 100
MAX_VALUES = 1000
MAX_KEY = 256

Scalar = str | bool | int | float
Operator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
Connective = Literal["and", "or"]

OPERATORS: tuple[Operator, ...] = get_args(Operator)
ORDERINGS = ("gt", "gte", "lt", "lte")


class InvalidFilter(ValueError):
    """The message begins with the place inside the filter, as `filters.filters[1].value`; param is that place."""

    @property
    def param(self) -> str:
        return str(self).partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Comparison:
    """An attribute against values: any number of them for in and nin, else one; never a boolean for an ordering.

    Integers fit 64 bits. The key has no quotes, backslashes or control characters.
    """

    operator: Operator
    key: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Compound:
    """parts: at least one."""

    connective: Connective
    parts: tuple["Filter", ...]


Filter = Comparison | Compound


def parse(filters: Mapping[str, Any]) -> Filter:
    """Raises InvalidFilter."""
    return _Parser().filter(filters, "filters", 1)


class _Parser:
    def __init__(self) -> None:
        self._conditions = 0

    def filter(self, node: Any, place: str, depth: int) -> Filter:
        if not isinstance(node, Mapping):
            raise InvalidFilter(f"{place} must be an object")
        if depth > MAX_DEPTH:
            raise InvalidFilter(f"{place} is nested deeper than {MAX_DEPTH}")
        kind = node.get("type")
        if kind == "and" or kind == "or":
            return self._compound(node, kind, place, depth)
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise InvalidFilter(f"filters may hold at most {MAX_CONDITIONS} comparisons")
        return _comparison(node, kind, place)

    def _compound(self, node: Mapping[str, Any], kind: Connective, place: str, depth: int) -> Compound:
        _only(node, {"type", "filters"}, place)
        inner = node.get("filters")
        if not isinstance(inner, Sequence) or isinstance(inner, str) or not inner:
            raise InvalidFilter(f"{place}.filters must be a list of at least one filter")
        parts = (self.filter(part, f"{place}.filters[{i}]", depth + 1) for i, part in enumerate(inner))
        return Compound(kind, tuple(parts))


def _comparison(node: Mapping[str, Any], kind: Any, place: str) -> Comparison:
    _only(node, {"type", "key", "value"}, place)
    if not _is_operator(kind):
        raise InvalidFilter(f"{place}.type must be one of {', '.join([*OPERATORS, 'and', 'or'])}, not {kind!r}")
    if "value" not in node:
        raise InvalidFilter(f"{place}.value is missing")
    key = _key(node.get("key"), f"{place}.key")
    return Comparison(kind, key, _values(kind, node["value"], f"{place}.value"))


def _is_operator(kind: Any) -> TypeGuard[Operator]:
    return isinstance(kind, str) and kind in OPERATORS


def _values(operator: Operator, value: Any, place: str) -> tuple[Scalar, ...]:
    if operator in ("in", "nin"):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise InvalidFilter(f"{place} must be a list")
        if len(value) > MAX_VALUES:
            raise InvalidFilter(f"{place} may hold at most {MAX_VALUES} values")
        return tuple(_scalar(each, place) for each in value)
    scalar = _scalar(value, place)
    if isinstance(scalar, bool) and operator in ORDERINGS:
        raise InvalidFilter(f"{place} must be a number or a string for {operator}")
    return (scalar,)


def _only(node: Mapping[str, Any], known: set[str], place: str) -> None:
    if unknown := sorted(str(key) for key in node.keys() - known):
        raise InvalidFilter(f"{place} has an unknown field {unknown[0]!r}")


def _key(key: Any, place: str) -> str:
    if not isinstance(key, str) or not key or len(key) > MAX_KEY:
        raise InvalidFilter(f"{place} must be a string of 1 to {MAX_KEY} characters")
    if any(c in '"\\' or ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in key):
        raise InvalidFilter(f"{place} may not hold quotes, backslashes or control characters")
    return same(key)


def _scalar(value: Any, place: str) -> Scalar:
    if isinstance(value, str):
        if any(0xD800 <= ord(c) < 0xE000 for c in value):
            raise InvalidFilter(f"{place} holds a lone surrogate")
        if "\0" in value:
            raise InvalidFilter(f"{place} must not hold a NUL character")
        return same(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return value if isinstance(value, float) or -(2**63) <= value < 2**63 else float(value)
    raise InvalidFilter(f"{place} must be a string, a number or a boolean")
