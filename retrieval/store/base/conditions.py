"""A filter (retrieval/filters/syntax.py) as a condition on a column of JSON objects, every value a bound parameter.

Each database has JSON functions of its own. Both keep types apart, compare numbers by value and strings by code point.
"""

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Numeric,
    Text,
    and_,
    bindparam,
    case,
    cast,
    collate,
    column,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from retrieval.database.columns import readable
from retrieval.filters.syntax import Compound, Filter, Scalar

Condition = ColumnElement[bool]

# Documents that hold for a time only (retrieval.dates.BOUNDS): the index `documents_bounded` is of them, and what asks
# for them says it in the same words.
BOUNDED = {
    "sqlite": "json_type(attributes, '$.valid_from') IS NOT NULL OR json_type(attributes, '$.valid_until') IS NOT NULL",
    "postgresql": "jsonb_exists(attributes, 'valid_from') OR jsonb_exists(attributes, 'valid_until')",
}
_ORDERINGS: dict[str, Callable[[Any, Any], Any]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


def condition(filter: Filter, objects: ColumnElement[Any], *, sqlite: bool) -> Condition:
    """True where the object passes."""
    if isinstance(filter, Compound):
        parts = [condition(part, objects, sqlite=sqlite) for part in filter.parts]
        return and_(*parts) if filter.connective == "and" else or_(*parts)
    dialect = _Sqlite(objects, filter.key) if sqlite else _PostgreSql(objects, filter.key)
    if filter.operator in _ORDERINGS:
        return dialect.ordered(_ORDERINGS[filter.operator], filter.values[0])
    either = dialect.member(filter.values)
    return either.is_not(True) if filter.operator in ("ne", "nin") else either


class _Sqlite:
    """By a JSON path to a member of the object; SQLite has no escapes inside a quoted label."""

    def __init__(self, objects: ColumnElement[Any], key: str) -> None:
        path = f'$."{key}"'
        self._type, self._value = func.json_type(objects, path), func.json_extract(objects, path)

    def member(self, values: Sequence[Scalar]) -> Condition:
        """One of the values, each compared inside its own type."""
        texts = [value for value in values if isinstance(value, str)]
        numbers = [value for value in values if not isinstance(value, str | bool)]
        truths = {value for value in values if isinstance(value, bool)}
        parts = [self._among(("text",), texts)] if texts else []
        parts += [self._among(("integer", "real"), numbers)] if numbers else []
        parts += [self._type == str(truth).lower() for truth in sorted(truths)]
        return or_(*parts) if parts else false()

    def _among(self, types: Sequence[str], values: Sequence[Scalar]) -> Condition:
        each: Any = select(column("value")).select_from(func.json_each(json.dumps(values)))
        return and_(self._type.in_(types), self._value.in_(each))

    def ordered(self, compare: Callable[[Any, Any], Any], value: Scalar) -> Condition:
        types = ("text",) if isinstance(value, str) else ("integer", "real")
        return and_(self._type.in_(types), compare(self._value, value))


class _PostgreSql:
    """JSONB compares inside its types by itself, but orders strings by the database's language."""

    def __init__(self, objects: ColumnElement[Any], key: str) -> None:
        member = literal(key, Text)  # by operators: a subscript is for columns alone
        self._value = objects.op("->", return_type=JSONB())(member)
        self._text = objects.op("->>", return_type=Text())(member)
        self._type = func.jsonb_typeof(self._value)

    def member(self, values: Sequence[Scalar]) -> Condition:
        """One of the values. Not null-safe: a missing member is neither."""
        wanted = bindparam(None, [readable(value) for value in values], type_=ARRAY(JSONB))
        return self._value == func.any(cast(wanted, ARRAY(JSONB)))

    def ordered(self, compare: Callable[[Any, Any], Any], value: Scalar) -> Condition:
        """CASE, as PostgreSQL casts before it has looked at the type in an AND."""
        if isinstance(value, str):
            ours = compare(collate(self._text, "C"), readable(value))
            return case((self._type == "string", ours), else_=false())
        ours = compare(cast(self._value, Numeric), literal(Decimal(repr(value)), Numeric))
        return case((self._type == "number", ours), else_=false())
