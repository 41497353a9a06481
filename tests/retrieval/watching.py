"""Calls of a repository, seen by a test before they are made."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import event

from retrieval.store.store import Store


def before(place: object, name: str, call: Callable[..., Any]) -> None:
    """`call` comes before every call of a method, with its arguments."""
    usual = getattr(place, name)

    def both(*arguments: Any, **named: Any) -> Any:
        call(*arguments)
        return usual(*arguments, **named)

    setattr(place, name, both)


def with_step(store: Store, step: str) -> object:
    """The repository that has this step of an ingest."""
    return next(place for place in (store.queue, store.versions, store.publishing) if hasattr(place, step))


class Pragmas(dict[str, int]):
    """Of every SQLite connection, from the next transaction on."""

    def __init__(self, store: Store) -> None:
        event.listen(store.database._engine, "checkout", self._set)

    def _set(self, connection: Any, *_: object) -> None:
        for name, value in self.items():
            connection.execute(f"PRAGMA {name} = {value}")


class Asked:
    """rows: that indexes have asked a store for."""

    def __init__(self, store: Store) -> None:
        self.rows = 0
        for name in ("vectors", "terms", "weights"):
            before(store.passages, name, self._count)

    def _count(self, keys: Sequence[int], *_: int) -> None:
        self.rows += len(keys)
