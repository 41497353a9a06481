"""Vectors that a vector store has already, in this generation or in the one that is found: the same indexed text is
embedded once by one embedder.
"""

from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, insert, select

from retrieval.database.constructs import any_of
from retrieval.store.base.tables import (
    chunks,
    documents,
    lexical_weights,
    store_files,
    token_codes,
    vector_stores,
    vectors,
)

_K, _D = chunks.c, documents.c
_PENDING = (
    select(_K.key)
    .select_from(documents.join(chunks, _K.document == _D.n))
    .where(_D.version == bindparam("version"), ~exists().where(vectors.c.chunk == _K.key))
)


def _source() -> Select[Any]:
    """Pending chunks, and a chunk of the vector store that has a vector for the same indexed text, or null."""
    other, of_document, of_version = chunks.alias(), documents.alias(), store_files.alias()
    source = (
        select(other.c.key)
        .join(vectors, vectors.c.chunk == other.c.key)
        .join(of_document, of_document.c.n == other.c.document)
        .join(of_version, of_version.c.version == of_document.c.version)
        .where(other.c.indexed_sha256 == _K.indexed_sha256, any_of(of_version.c.store, "stores"))
        .limit(1)
    )
    return _PENDING.add_columns(source.scalar_subquery().label("source"))


_SOURCES = _source()
_FOUND, _OWN = vector_stores.alias(), vector_stores.c
_BESIDE = select(_FOUND.c.n).join(vector_stores, _OWN.generation_of == _FOUND.c.n)
_BESIDE = _BESIDE.where(_OWN.n == bindparam("store"), _OWN.embedder == _FOUND.c.embedder)
_BESIDE = _BESIDE.where(_OWN.dim == _FOUND.c.dim, _OWN.lexical == _FOUND.c.lexical)
_COPIES = [
    insert(table).from_select(
        ["chunk", column.name],
        select(bindparam("new", type_=table.c.chunk.type), column).where(table.c.chunk == bindparam("source")),
    )
    for table, column in (
        (vectors, vectors.c.vector),
        (token_codes, token_codes.c.code),
        (lexical_weights, lexical_weights.c.weights),
    )
]


def reuse_vectors(db: Connection, version: int, store: int) -> None:
    """Copies what the vector store already holds for the same indexed text."""
    stores = [store, *db.scalars(_BESIDE, {"store": store})]
    pairs = db.execute(_SOURCES, {"version": version, "stores": stores}).all()
    if known := [{"new": pair.key, "source": pair.source} for pair in pairs if pair.source is not None]:
        for copy in _COPIES:
            db.execute(copy, known)
