"""OpenAI's cursor pagination over an ascending integer column."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Literal

from retrieval.store.types import NotFound, UnknownCursor


def cursor_values(value: Callable[[str], int], after: str | None, before: str | None) -> list[int | None]:
    """[after, before] for `page`. value: of the column, of an id; raises NotFound. Raises UnknownCursor."""
    found: list[int | None] = []
    for param, cursor in (("after", after), ("before", before)):
        try:
            found.append(None if cursor is None else value(cursor))
        except NotFound:
            raise UnknownCursor(param, cursor or "") from None
    return found


def page(
    db: sqlite3.Connection,
    select: str,
    where: str,
    values: Sequence[str | int],
    column: str,
    limit: int,
    order: Literal["asc", "desc"],
    after: int | None,
    before: int | None,
) -> tuple[list[sqlite3.Row], bool]:
    """At most `limit` rows in `order`, and whether more follow (with only `before`: precede).

    select, where, column: SQL of ours, never of a caller's request. after, before: values of `column`, exclusive.
    """
    backwards = before is not None and after is None
    ascending = (order == "asc") != backwards
    conditions, bound = [where], list(values)
    for cursor, follows in ((after, True), (before, False)):
        if cursor is not None:
            conditions.append(f"{column} {'>' if (order == 'asc') == follows else '<'} ?")
            bound.append(cursor)
    direction = "ASC" if ascending else "DESC"
    sql = f"{select} WHERE {' AND '.join(conditions)} ORDER BY {column} {direction} LIMIT ?"
    rows = db.execute(sql, [*bound, limit + 1]).fetchall()
    shown = rows[:limit]
    return (shown[::-1] if backwards else shown), len(rows) > limit
