"""Rows of vector_stores as generations, and the statements that read them."""

from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, func, select

from retrieval.store.base.removal import NOBODY
from retrieval.store.base.rows import cutting_of
from retrieval.store.base.tables import store_files, vector_stores
from retrieval.store.base.values import FileCounts, VectorSpace
from retrieval.store.generations.values import Generation, Recipe

S = vector_stores.c
FOUND = vector_stores.alias()
THERE, HERE = store_files.alias(), store_files.alias()
SAME = and_(HERE.c.filename == THERE.c.filename, HERE.c.sha256 == THERE.c.sha256)
GENERATIONS = (
    select(vector_stores, FOUND.c.id.label("store_id"), FOUND.c.name.label("store_name"))
    .join(FOUND, FOUND.c.n == func.coalesce(S.generation_of, S.n))
    .where(S.owner != NOBODY)
    .order_by(FOUND.c.created_at, FOUND.c.n, S.generation_of.is_not(None), S.n)
)
_FILES = (
    select(store_files.c.status, func.count(), func.sum(store_files.c.embedded), func.sum(store_files.c.usage_bytes))
    .where(store_files.c.store == bindparam("store"), store_files.c.files > 0)
    .group_by(store_files.c.status)
)
# Of the vector store's visible files: those that a generation beside it does not show, and those that failed there.
_LACKING = (
    select(func.count(), func.coalesce(func.sum(case((HERE.c.status == "failed", 1), else_=0)), 0))
    .select_from(THERE.outerjoin(HERE, and_(SAME, HERE.c.store == bindparam("store"))))
    .where(THERE.c.store == bindparam("of"), THERE.c.visible == 1, func.coalesce(HERE.c.visible, 0) == 0)
)


def recipe_of(row: Row[Any]) -> Recipe | None:
    """None before the first vector."""
    if row.embedder is None:
        return None
    return Recipe(VectorSpace(row.embedder, row.dim, bool(row.lexical)), cutting_of(row.cutting))


def lacking(db: Connection, of: int, store: int) -> tuple[int, int]:
    """Visible files of a vector store that a generation beside it does not show; those of them that failed there."""
    waiting, failed = db.execute(_LACKING, {"of": of, "store": store}).one()
    return int(waiting), int(failed)


def generation_of(db: Connection, row: Row[Any]) -> Generation:
    """row: of GENERATIONS."""
    counts, passages, held = dict[str, int](), 0, 0
    for status, count, embedded, usage in db.execute(_FILES, {"store": row.n}):
        counts[status], passages, held = int(count), passages + int(embedded), held + int(usage)
    waiting, failed = (0, 0) if row.generation_of is None else lacking(db, row.generation_of, row.n)
    return Generation(
        index_id=row.index_id,
        store_id=row.store_id,
        name=row.store_name,
        owner=row.owner,
        state=row.generation_state or "found",
        recipe=recipe_of(row),
        files=FileCounts(**counts),
        waiting=waiting,
        failed=failed,
        passages=passages,
        bytes=held,
        ended_at=row.generation_ended,
    )
