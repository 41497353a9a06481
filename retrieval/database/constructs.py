"""What SQLite and PostgreSQL write differently, as one construct each of SQLAlchemy's expression language."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from retrieval.database.columns import LONG, JsonObject, Longs


class _AnyOf(FunctionElement[bool]):
    inherit_cache = True


class _Merged(FunctionElement[Any]):
    type = JsonObject()
    inherit_cache = True


class _Octets(FunctionElement[int]):
    type = LONG
    inherit_cache = True


class _Greatest(FunctionElement[int]):
    type = LONG
    inherit_cache = True


def any_of(column: ColumnElement[Any], name: str, values: Sequence[int] | None = None) -> ColumnElement[bool]:
    """Whether an integer column is one of those under `name`: one parameter, however many they are."""
    return _AnyOf(column, bindparam(name, values, type_=Longs()))


def merged(below: ColumnElement[Any], above: ColumnElement[Any]) -> ColumnElement[Any]:
    """Two JSON objects as one; where both have a key, `above` counts. Neither holds null."""
    return _Merged(below, above)


def octets(column: ColumnElement[Any]) -> ColumnElement[int]:
    """Bytes of a text (UTF-8) or of bytes."""
    return _Octets(column)


def greatest(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[int]:
    """The larger of two numbers, neither of them null."""
    return _Greatest(one, other)


def _two(element: FunctionElement[Any], compiler: SQLCompiler, **kw: Any) -> tuple[str, str]:
    one, other = element.clauses
    return compiler.process(one, **kw), compiler.process(other, **kw)


@compiles(_AnyOf, "sqlite")
def _any_sqlite(element: _AnyOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = _two(element, compiler, **kw)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608


@compiles(_AnyOf, "postgresql")
def _any_postgresql(element: _AnyOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = _two(element, compiler, **kw)
    return f"{column} = ANY ({values})"


@compiles(_Merged, "sqlite")
def _merged_sqlite(element: _Merged, compiler: SQLCompiler, **kw: Any) -> str:
    return "json_patch({}, {})".format(*_two(element, compiler, **kw))


@compiles(_Merged, "postgresql")
def _merged_postgresql(element: _Merged, compiler: SQLCompiler, **kw: Any) -> str:
    return "({} || {})".format(*_two(element, compiler, **kw))


@compiles(_Octets, "sqlite")
def _octets_sqlite(element: _Octets, compiler: SQLCompiler, **kw: Any) -> str:
    return f"length(CAST({compiler.process(element.clauses, **kw)} AS BLOB))"


@compiles(_Octets, "postgresql")
def _octets_postgresql(element: _Octets, compiler: SQLCompiler, **kw: Any) -> str:
    return f"octet_length({compiler.process(element.clauses, **kw)})"


@compiles(_Greatest, "sqlite")
def _greatest_sqlite(element: _Greatest, compiler: SQLCompiler, **kw: Any) -> str:
    return "max({}, {})".format(*_two(element, compiler, **kw))


@compiles(_Greatest, "postgresql")
def _greatest_postgresql(element: _Greatest, compiler: SQLCompiler, **kw: Any) -> str:
    return "greatest({}, {})".format(*_two(element, compiler, **kw))
