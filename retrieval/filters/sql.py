"""A filter as SQL over a JSON object, every value a bound parameter."""

import json
from dataclasses import dataclass

from retrieval.filters.syntax import Comparison, Compound, Filter, InvalidFilter

__all__ = ["Condition", "InvalidFilter", "condition"]

_ORDERINGS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_FALSE = "0"


@dataclass(frozen=True, slots=True)
class Condition:
    sql: str
    values: tuple[str | int | float, ...]


def condition(filter: Filter, column: str) -> Condition:
    """SQL that is true where the JSON object in `column` (ours, not the caller's) passes."""
    match filter:
        case Compound():
            parts = [condition(part, column) for part in filter.parts]
            sql = f" {filter.connective.upper()} ".join(part.sql for part in parts)
            return Condition(f"({sql})", tuple(value for part in parts for value in part.values))
        case Comparison() if filter.operator in _ORDERINGS:
            return _ordered(filter, column)
        case Comparison():
            return _member(filter, column)


def _member(comparison: Comparison, column: str) -> Condition:
    """One of the values, each compared inside its own type; negated for ne and nin."""
    path, values = _path(comparison.key), comparison.values
    groups = {
        "('text')": [v for v in values if isinstance(v, str)],
        "('integer', 'real')": [v for v in values if not isinstance(v, str | bool)],
    }
    parts, bound = [], list[str | int | float]()
    for types, members in groups.items():
        if members:
            value = f"json_extract({column}, ?) IN (SELECT value FROM json_each(?))"  # noqa: S608
            parts.append(f"(json_type({column}, ?) IN {types} AND {value})")
            bound += [path, path, json.dumps(members)]
    for truth in {v for v in values if isinstance(v, bool)}:
        parts.append(f"json_type({column}, ?) IS '{str(truth).lower()}'")
        bound.append(path)
    either = f"({' OR '.join(parts) or _FALSE})"
    negated = comparison.operator in ("ne", "nin")
    return Condition(f"({either} IS NOT TRUE)" if negated else either, tuple(bound))


def _ordered(comparison: Comparison, column: str) -> Condition:
    path, (value,) = _path(comparison.key), comparison.values
    types = "('text')" if isinstance(value, str) else "('integer', 'real')"
    sql = f"(json_type({column}, ?) IN {types} AND json_extract({column}, ?) {_ORDERINGS[comparison.operator]} ?)"
    return Condition(sql, (path, path, value))


def _path(key: str) -> str:
    """A JSON path to a member of the object; SQLite has no escapes inside a quoted label."""
    return f'$."{key}"'
