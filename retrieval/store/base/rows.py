"""Rows of the database as values, and pages of them: OpenAI's cursor pagination over an ascending integer column."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select

from models.base import Block
from retrieval.database.columns import to_json
from retrieval.places import NOWHERE, OnPage, Place, packed, unpacked
from retrieval.store.base.tables import attachments, chunks, documents, files, store_files, vector_stores
from retrieval.store.base.uses import Uses
from retrieval.store.base.values import (
    File,
    FileCounts,
    FileError,
    FileWarnings,
    NotFound,
    Passage,
    Progress,
    StoreFile,
    Tried,
    UnknownCursor,
    VectorStore,
)
from retrieval.types import Attributes, Chunk, Chunking, Cutting

Order = Literal["asc", "desc"]
# Of `store_file_of`: an attachment, and the version that it may share. number: its own.
_OWN = ("attributes", "created_at", "file")
_W = store_files.c
_UNCUT = _W.stage.in_(("accepted", "parsed"))
# Of the versions that a caller's conditions leave, by status: (status, uncut, files, passages, those embedded).
PROGRESS = (
    select(
        _W.status,
        func.sum(case((_UNCUT, 1), else_=0)),
        func.count(),
        func.sum(_W.chunks),
        func.sum(_W.embedded),
    )
    .where(_W.files > 0)
    .group_by(_W.status)
)


def progress_of(rows: Iterable[Any]) -> Progress:
    """rows: of PROGRESS."""
    files: dict[str, int] = {}
    passages = known = uncut = 0
    for status, not_cut, count, chunks_there, embedded in rows:
        files[status] = int(count)
        if status in ("in_progress", "completed"):
            passages, known = passages + int(embedded), known + int(chunks_there)
        if status == "in_progress":
            uncut = int(not_cut)
    return Progress(FileCounts(**files), passages, known, uncut)


ATTACHED = (
    select(*(column for column in store_files.c if column.name not in _OWN))
    .add_columns(*(attachments.c[name] for name in _OWN), attachments.c.n.label("number"))
    .add_columns(vector_stores.c.id.label("store_id"), files.c.id.label("file_id"))
    .add_columns(files.c.filename.label("given_name"))
    .select_from(attachments)
    .join(store_files, store_files.c.version == attachments.c.version)
    .join(vector_stores, vector_stores.c.n == attachments.c.store)
    .join(files, files.c.n == attachments.c.file)
)

# Of the columns of `Tried`, where something was done that stays, or somebody has it all tried anew.
TRIED_ANEW = dict.fromkeys(Tried._fields, 0)
# Of the vector store whose generation a row of vector_stores is.
_FOUND = vector_stores.alias()
PUBLIC_ID = case(
    (vector_stores.c.generation_of.is_(None), vector_stores.c.id),
    else_=select(_FOUND.c.id).where(_FOUND.c.n == vector_stores.c.generation_of).scalar_subquery(),
)

# Of `chunk_of`, in its order.
CHUNK = (
    *(chunks.c[name] for name in ("key", "id", "position", "text", "first_char", "last_char", "headings", "page")),
    chunks.c.token_count,
    chunks.c.blocks,
    chunks.c.place,
    documents.c.id.label("document_id"),
    *(documents.c[name] for name in ("external_id", "title", "url", "attributes")),
    files.c.filename,
    files.c.id.label("file_id"),
    PUBLIC_ID.label("store_id"),
)


def vector_store_of(row: Row[Any], counts: FileCounts, usage_bytes: int, uses: Uses, now: int) -> VectorStore:
    return VectorStore(
        id=row.id,
        owner=row.owner,
        name=row.name,
        metadata=json.loads(row.metadata),
        created_at=row.created_at,
        last_active_at=uses.last(row),
        usage_bytes=usage_bytes,
        counts=counts,
        embedder=row.embedder,
        dim=row.dim,
        description=row.description,
        expires_days=row.expires_days,
        expired=uses.has_expired(row, now),
    )


def file_of(row: Row[Any]) -> File:
    return File(
        id=row.id,
        owner=row.owner,
        filename=row.filename,
        media_type=row.media_type,
        purpose=row.purpose,
        bytes=row.bytes,
        sha256=row.sha256,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def store_file_of(row: Row[Any]) -> StoreFile:
    return StoreFile(
        version=row.version,
        store_id=row.store_id,
        file_id=row.file_id,
        filename=row.given_name,
        status=row.status,
        stage=row.stage,
        attributes=row.attributes,
        created_at=row.created_at,
        usage_bytes=row.usage_bytes,
        documents=row.documents,
        chunks=row.chunks,
        embedded=row.embedded,
        visible=bool(row.visible),
        error=FileError(row.error_code, row.error_message or "") if row.error_code else None,
        chunking=Chunking(row.chunk_size, row.chunk_overlap),
        warnings=_warnings_of(row.warnings),
    )


def warnings_row(messages: Sequence[str]) -> str | None:
    """As the column keeps them, and their number."""
    return json.dumps([len(messages), messages[: FileWarnings.MOST]], ensure_ascii=False) if messages else None


def _warnings_of(written: str | None) -> FileWarnings:
    count, messages = json.loads(written) if written else (0, ())
    return FileWarnings(count, tuple(messages))


def chunk_of(row: Sequence[Any]) -> Chunk:
    """row: its first columns are CHUNK's, by whose order they are taken: by name 100 of them took .6 ms longer."""
    (
        key, chunk_id, position, text, start, end, headings, page, token_count, blocks, place,
        document_id, external_id, title, url, attributes, filename, file_id, store_id, *_,
    ) = row  # fmt: skip
    return Chunk(
        key=key,
        id=chunk_id,
        document_id=document_id,
        file_id=file_id,
        store_id=store_id,
        position=position,
        text=text,
        start=start,
        end=end,
        title=title,
        filename=filename,
        url=url or _address(attributes),
        headings=tuple(json.loads(headings)) if headings != "[]" else (),
        page=page,
        token_count=token_count,
        external_id=external_id,
        attributes=attributes,
        blocks=blocks_of(blocks) if blocks else (),
        place=_place_of(place, page),
    )


def _address(attributes: Attributes) -> str:
    """What its file's attribute `url` says; "" where that is nothing for a browser."""
    url = attributes.get("url")
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else ""


def _place_of(code: str | None, page: int | None) -> Place:
    """page: all that was known of places before there was a column for them."""
    if code:
        return unpacked(json.loads(code))
    return NOWHERE if page is None else Place((OnPage(page),))


def place_code(place: Place) -> str | None:
    """Of the column; null for nowhere."""
    known = packed(place)
    return None if known is None else to_json(known)


def cutting_of(code: str | None) -> Cutting:
    """Of the column; null is of a time when nothing could be chosen but the mask."""
    if code is None:
        return Cutting(masked=None)
    size, overlap, masked, revision = json.loads(code)
    return Cutting(Chunking(size, overlap), tuple(masked), revision)


def cutting_code(cutting: Cutting) -> str:
    return to_json([cutting.chunking.size, cutting.chunking.overlap, list(cutting.masked or ()), cutting.revision])


def blocks_of(code: str) -> tuple[Block, ...]:
    return tuple(Block(kind, start, end, context) for kind, start, end, context in json.loads(code))


def code_of(blocks: Sequence[Block]) -> str | None:
    """Of the column; null where there are none."""
    return to_json([[block.kind, block.start, block.end, block.context] for block in blocks]) if blocks else None


def passage_of(row: Sequence[Any]) -> Passage:
    """row: as of chunk_of, then terms and token code."""
    *_, terms, code = row
    return Passage(chunk=chunk_of(row), terms=tuple(terms.split(" ")) if terms else (), token_code=code or b"")


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
    db: Connection,
    rows: Select[Any],
    column: ColumnElement[int],
    limit: int,
    order: Order,
    after: int | None,
    before: int | None,
) -> tuple[Sequence[Row[Any]], bool]:
    """At most `limit` rows in `order`, and whether more follow (with only `before`: precede).

    after, before: values of `column`, exclusive.
    """
    backwards = before is not None and after is None
    ascending = (order == "asc") != backwards
    for cursor, follows in ((after, True), (before, False)):
        if cursor is not None:
            rows = rows.where(column > cursor if (order == "asc") == follows else column < cursor)
    found = db.execute(rows.order_by(column if ascending else column.desc()).limit(limit + 1)).all()
    shown = found[:limit]
    return (shown[::-1] if backwards else shown), len(found) > limit
