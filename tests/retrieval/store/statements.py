"""What a store asks of its database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from retrieval.store.store import Store


@contextmanager
def executed(store: Store) -> Iterator[list[str]]:
    """Every statement of this store's database, by whichever thread; SQLite's BEGIN is one."""
    found: list[str] = []

    def executing(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if connection.engine.url == store.database.url:
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", executing)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", executing)
