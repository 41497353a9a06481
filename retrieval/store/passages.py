"""What searches and indexes read: visible passages, their vectors, terms and weights."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sqlalchemy import Column, Table, bindparam, func, select, text

from models.base import FloatArray
from retrieval.database.constructs import any_of
from retrieval.database.engine import BINARY
from retrieval.dates import VALID_FROM, VALID_UNTIL
from retrieval.filters.syntax import Filter
from retrieval.store.base.conditions import BOUNDED, condition
from retrieval.store.base.guards import store_number
from retrieval.store.base.removal import GONE, NOBODY
from retrieval.store.base.repository import Repository
from retrieval.store.base.rows import CHUNK, chunk_of, passage_of
from retrieval.store.base.tables import (
    chunks,
    documents,
    files,
    lexical_weights,
    store_files,
    token_codes,
    vector_stores,
    vectors,
)
from retrieval.store.base.values import NamedStore, NotFound, Passage
from retrieval.types import Chunk

_K, _D, _V, _S = chunks.c, documents.c, store_files.c, vector_stores.c
_VISIBLE = store_files.join(documents, _D.version == _V.version).join(chunks, _K.document == _D.n)
_OWNED = (_V.visible == 1, _V.store == bindparam("store"), _S.owner == bindparam("owner"))
_CHUNKS = select(*CHUNK).select_from(_VISIBLE).join(files, files.c.n == _V.file).join(vector_stores, _S.n == _V.store)
_LOADED = (
    _CHUNKS.add_columns(_K.terms, token_codes.c.code)
    .outerjoin(token_codes, token_codes.c.chunk == _K.key)
    .where(*_OWNED, any_of(_K.key, "keys"))
    .execution_options(**{BINARY: True})
)
_NEIGHBOURS = _CHUNKS.where(
    *_OWNED, _D.id == bindparam("document"), _K.position.between(bindparam("first"), bindparam("last"))
).order_by(_K.position)
_OF_STORE = select(_K.key).select_from(_VISIBLE).where(_V.store == bindparam("store"))
_KEYS = _OF_STORE.where(_V.visible == 1)
_ALLOWED = _KEYS.join(vector_stores, _S.n == _V.store).where(_S.owner == bindparam("owner"))
# From the few documents of the index: by the columns themselves SQLite would look for them in each file of the store.
_BOUNDED = {
    dialect: select(_K.key, _D.attributes)
    .select_from(documents.join(chunks, _K.document == _D.n).join(store_files, _V.version == _D.version))
    .join(vector_stores, _S.n == _V.store)
    .where(text(f"({condition.replace('attributes', 'documents.attributes')})"))
    .where(_V.visible == 1, _V.store + 0 == bindparam("store"), _S.owner + "" == bindparam("owner"))
    for dialect, condition in BOUNDED.items()
}
_COMPARED = func.coalesce(_D.composed, _D.attributes)
_EVERY_KEY = _OF_STORE.where(_V.visible.in_((1, GONE))).order_by(_K.key)
_HEAD = select(_S.n, _S.head).where(_S.index_id == bindparam("store_id"), _S.owner != NOBODY)
_TERMS = select(_K.key, _K.terms).where(any_of(_K.key, "keys")).order_by(_K.key)


def _beside(table: Table, column: Column[bytes]) -> Any:
    rows = select(table.c.chunk, column).where(any_of(table.c.chunk, "keys")).order_by(table.c.chunk)
    return rows.execution_options(**{BINARY: True})


_VECTORS = _beside(vectors, vectors.c.vector)
_WEIGHTS = _beside(lexical_weights, lexical_weights.c.weights)
_WITHOUT = {
    table.name: _KEYS.outerjoin(table, table.c.chunk == _K.key).where(table.c.chunk.is_(None)).order_by(_K.key)
    for table in (vectors, lexical_weights)
}


class Passages(Repository):
    """For searches, which have resolved the vector store; and, without an owner, for the derived indexes."""

    def load(self, owner: str, store: NamedStore, keys: Sequence[int]) -> dict[int, Passage]:
        """By key; keys that are gone meanwhile are left out. One statement."""
        with self._database.one() as db:
            rows = db.execute(_LOADED, {"owner": owner, "store": store.number, "keys": keys}).all()
        return {row[0]: passage_of(row) for row in rows}

    def neighbours(self, owner: str, store_id: str, document_id: str, first: int, last: int) -> list[Chunk]:
        """Chunks of a document by position, ascending, both ends included. Raises NotFound for the vector store."""
        with self._database.read() as db:
            named = {"owner": owner, "store": store_number(db, owner, store_id), "document": document_id}
            return [chunk_of(row) for row in db.execute(_NEIGHBOURS, {**named, "first": first, "last": last})]

    def allowed_keys(self, owner: str, store: NamedStore, filter: Filter) -> set[int]:
        """Keys of the chunks whose attributes pass."""
        passing = _ALLOWED.where(condition(filter, _COMPARED, sqlite=self._database.is_sqlite))
        with self._database.one() as db:
            return set(db.scalars(passing, {"owner": owner, "store": store.number}))

    def keys(self, owner: str, store: NamedStore) -> set[int]:
        """Of every chunk that is visible."""
        with self._database.one() as db:
            return set(db.scalars(_ALLOWED, {"owner": owner, "store": store.number}))

    def bounded(self, owner: str, store: NamedStore) -> list[tuple[int, Any, Any]]:
        """(key, valid_from, valid_until) of the chunks whose document has one of them, as it was given."""
        statement = _BOUNDED["sqlite" if self._database.is_sqlite else "postgresql"]
        with self._database.one() as db:
            rows = db.execute(statement, {"owner": owner, "store": store.number}).all()
        return [(key, attributes.get(VALID_FROM), attributes.get(VALID_UNTIL)) for key, attributes in rows]

    def visible_keys(self, store_id: str) -> tuple[list[int], int]:
        """Every key that the indexes should hold, ascending, and the seq of which that is true: those that searches
        see, and those of which the log does not tell yet that they leave. Raises NotFound.
        """
        with self._database.read() as db:
            number, head = _numbered(db.execute(_HEAD, {"store_id": store_id}).first(), store_id)
            return list(db.scalars(_EVERY_KEY, {"store": number})), head

    def keys_without(self, store_id: str, table: Literal["vectors", "lexical_weights"]) -> list[int]:
        """Visible chunks that an index cannot hold: none, unless the database was damaged. Raises NotFound."""
        with self._database.read() as db:
            number, _ = _numbered(db.execute(_HEAD, {"store_id": store_id}).first(), store_id)
            return list(db.scalars(_WITHOUT[table], {"store": number}))

    def terms(self, keys: Sequence[int]) -> list[tuple[int, str]]:
        """Terms joined by spaces, of the keys that still exist, ascending."""
        with self._database.one() as db:
            return [(key, terms) for key, terms in db.execute(_TERMS, {"keys": keys})]

    def weights(self, keys: Sequence[int]) -> list[tuple[int, bytes]]:
        """Lexical weights as they were saved, of the keys that still exist, ascending."""
        with self._database.one() as db:
            return [(key, weights) for key, weights in db.execute(_WEIGHTS, {"keys": keys})]

    def vectors(self, keys: Sequence[int], dim: int) -> tuple[list[int], FloatArray]:
        """Vectors (n, dim) of the keys that still exist, ascending."""
        with self._database.one() as db:
            rows = db.execute(_VECTORS, {"keys": keys}).all()
        found = np.frombuffer(b"".join(vector for _, vector in rows), "<f2").astype(np.float32)
        return [key for key, _ in rows], found.reshape(-1, dim)


def _numbered(row: Any, store_id: str) -> tuple[int, int]:
    """Number and head of a vector store."""
    if row is None:
        raise NotFound(f"no vector store {store_id!r}")
    return row.n, row.head
