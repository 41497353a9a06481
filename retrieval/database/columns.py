"""Columns, and types of columns, that mean the same on SQLite and PostgreSQL. Migrations write down what they were at
their time.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Identity,
    Integer,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

# What STRICT tables call a double, and an integer of 64 bits.
SECONDS: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")  # of Unix
LONG: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")

NUL, REPLACEMENT = "\0", "\ufffd"
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)  # json.dumps makes one for each call


class Identifier(TypeDecorator[str]):
    """What callers name rows by. PostgreSQL's text holds no NUL: an id with one equals nothing, on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None or NUL in value else value


class Prose(TypeDecorator[str]):
    """What people wrote. PostgreSQL's text holds no NUL: there U+FFFD takes its place, so that offsets stay."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None] | None:
        """None on SQLite: two calls for every value of every row were a tenth of what a row cost."""
        return None if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.replace(NUL, REPLACEMENT)


class JsonObject(TypeDecorator[Mapping[str, Any]]):
    """Text on SQLite, whose JSON functions read it; JSONB on PostgreSQL, with U+FFFD for NUL as in prose."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else JSONB(none_as_null=True))

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if dialect.name == "sqlite":
            return to_json(value)
        return {readable(key): readable(each) for key, each in value.items()}

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Instead of process_result_value, which takes two more calls a value."""
        return _parsed if dialect.name == "sqlite" else self.impl_instance.result_processor(dialect, coltype)


def _parsed(value: str | None) -> Any:
    return None if value is None else json.loads(value)


class Longs(TypeDecorator[Sequence[int]]):
    """A parameter that holds many integers (retrieval/database/constructs.py): no column."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(BigInteger))

    def process_bind_param(self, value: Sequence[int] | None, dialect: Dialect) -> Any:
        numbers = [int(each) for each in value or ()]
        return json.dumps(numbers) if dialect.name == "sqlite" else numbers


def to_json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Non-ASCII characters stay as they are: SQLite's JSON paths compare the text of keys."""
    return _ENCODER.encode(value)


def readable(value: Any) -> Any:
    """A value of a JSON object as PostgreSQL keeps it."""
    return value.replace(NUL, REPLACEMENT) if isinstance(value, str) else value


def flag(name: str) -> Column[int]:
    """0 or 1; or a number that begins at 0."""
    return Column(name, Integer, nullable=False, server_default=text("0"))


def number(name: str) -> Column[int]:
    """A row's own integer, never given twice."""
    return Column(name, LONG, Identity(), primary_key=True)


def row_of(table: str, column: str, name: str, *, leaves: bool = True, first: bool = False) -> Column[int]:
    """A row of another table. leaves: this one goes with it. first: of the primary key."""
    key = ForeignKey(f"{table}.{column}", ondelete="CASCADE" if leaves else None)
    return Column(name, LONG, key, nullable=False, primary_key=first)


def only_where(condition: str) -> dict[str, Any]:
    """Of an index of some rows alone."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}
