"""Types of columns that mean the same on SQLite and PostgreSQL. Migrations write down what they were at their time."""

from sqlalchemy import REAL, Dialect, Double, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

SECONDS: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")  # of Unix; what STRICT tables call a double


class Identifier(TypeDecorator[str]):
    """What callers name rows by. PostgreSQL's text holds no NUL: an id with one equals nothing, on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None or "\0" in value else value
