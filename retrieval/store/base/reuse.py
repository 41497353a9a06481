"""Vectors that a vector store has already: the same indexed text is embedded once."""

from typing import Any

from sqlalchemy import Connection, Select, bindparam, exists, insert, select

from retrieval.store.base.tables import chunks, documents, lexical_weights, store_files, token_codes, vectors

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
        .where(other.c.indexed_sha256 == _K.indexed_sha256, of_version.c.store == bindparam("store"))
        .limit(1)
    )
    return _PENDING.add_columns(source.scalar_subquery().label("source"))


_SOURCES = _source()
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
    pairs = db.execute(_SOURCES, {"version": version, "store": store}).all()
    if known := [{"new": pair.key, "source": pair.source} for pair in pairs if pair.source is not None]:
        for copy in _COPIES:
            db.execute(copy, known)
