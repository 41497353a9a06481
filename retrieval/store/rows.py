"""Rows of the database as values, and pages of them: OpenAI's cursor pagination over an ascending integer column."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Literal

from retrieval.store.types import (
    Attempt,
    File,
    FileCounts,
    FileError,
    NotFound,
    Passage,
    StoreFile,
    Superseded,
    UnknownCursor,
    VectorStore,
)
from retrieval.store.uses import Uses
from retrieval.types import Chunk, Chunking


def vector_store_of(row: sqlite3.Row, counts: FileCounts, usage_bytes: int, uses: Uses, now: int) -> VectorStore:
    return VectorStore(
        id=row["id"],
        owner=row["owner"],
        name=row["name"],
        metadata=json.loads(row["metadata"]),
        created_at=row["created_at"],
        last_active_at=uses.last(row),
        usage_bytes=usage_bytes,
        counts=counts,
        embedder=row["embedder"],
        dim=row["dim"],
        description=row["description"],
        expires_days=row["expires_days"],
        expired=uses.has_expired(row, now),
    )


def file_of(row: sqlite3.Row) -> File:
    return File(
        id=row["id"],
        owner=row["owner"],
        filename=row["filename"],
        media_type=row["media_type"],
        purpose=row["purpose"],
        bytes=row["bytes"],
        sha256=row["sha256"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )


def store_file_of(row: sqlite3.Row) -> StoreFile:
    return StoreFile(
        version=row["version"],
        store_id=row["store_id"],
        file_id=row["file_id"],
        filename=row["filename"],
        status=row["status"],
        stage=row["stage"],
        attributes=json.loads(row["attributes"]),
        created_at=row["created_at"],
        usage_bytes=row["usage_bytes"],
        documents=row["documents"],
        chunks=row["chunks"],
        embedded=row["embedded"],
        visible=bool(row["visible"]),
        error=FileError(row["error_code"], row["error_message"] or "") if row["error_code"] else None,
        chunking=Chunking(row["chunk_size"], row["chunk_overlap"]),
    )


def chunk_of(row: sqlite3.Row) -> Chunk:
    return Chunk(
        key=row["key"],
        id=row["id"],
        document_id=row["document_id"],
        file_id=row["file_id"],
        store_id=row["store_id"],
        position=row["position"],
        text=row["text"],
        start=row["first_char"],
        end=row["last_char"],
        title=row["title"],
        filename=row["filename"],
        url=row["url"],
        headings=tuple(json.loads(row["headings"])),
        page=row["page"],
        token_count=row["token_count"],
        external_id=row["external_id"],
        attributes=json.loads(row["attributes"]),
    )


def passage_of(row: sqlite3.Row) -> Passage:
    return Passage(
        chunk=chunk_of(row), terms=tuple(row["terms"].split(" ")) if row["terms"] else (), token_code=row["code"] or b""
    )


def live_version(db: sqlite3.Connection, attempt: Attempt) -> sqlite3.Row:
    """The row of its version, in the transaction of the step that asks. Raises Superseded."""
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM store_files WHERE version = ? AND attempt = ? AND status = 'in_progress'", attempt
    ).fetchone()
    if row is None:
        raise Superseded(f"{attempt}: it is no longer in progress")
    return row


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
