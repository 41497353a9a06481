"""A file version on its way into a vector store: pending documents, then vectors, then visible in one transaction.

Chunks get their integer keys when they are pending; nothing that searches sees them before `publish` writes the change
log. Every step is a transaction that first checks that the version is still wanted and its attempt the latest, and
raises Superseded if not.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Row,
    bindparam,
    exists,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    union,
    update,
)

from models.base import FloatArray
from retrieval.database.columns import to_json
from retrieval.database.constructs import any_of
from retrieval.store.base.composition import composed
from retrieval.store.base.guards import live_version, live_version_in_store, seen_version
from retrieval.store.base.removal import discard
from retrieval.store.base.repository import Repository
from retrieval.store.base.reuse import reuse_vectors
from retrieval.store.base.rows import TRIED_ANEW, blocks_of, code_of, place_code, warnings_row
from retrieval.store.base.tables import (
    chunks,
    documents,
    kept_documents,
    lexical_weights,
    store_files,
    token_codes,
    vector_stores,
    vectors,
)
from retrieval.store.base.values import Attempt, EmbedderMismatch, FileStage, VectorSpace
from retrieval.types import IdentifiedDocument, NewChunk, indexed_text

_VERSION: BindParameter[int] = bindparam("version")
_D, _K = documents.c, chunks.c
_STORE = select(vector_stores).where(vector_stores.c.n == bindparam("number"))
_CLAIM = update(vector_stores).where(vector_stores.c.n == bindparam("number"))
_CHUNKS_OF_DOCUMENTS = documents.join(chunks, _K.document == _D.n)
_HAS_VECTORS = (
    select(literal(1))
    .select_from(store_files.join(documents, _D.version == store_files.c.version).join(chunks, _K.document == _D.n))
    .join(vectors, vectors.c.chunk == _K.key)
    .where(store_files.c.store == bindparam("number"))
    .limit(1)
)
_OTHERS = (
    select(store_files.c.version)
    .where(store_files.c.store == bindparam("number"), store_files.c.version != _VERSION)
    .where(store_files.c.status == "in_progress", store_files.c.visible == 0)
    .order_by(store_files.c.version)
)
_BEGIN_ANEW = (
    update(store_files)
    .where(store_files.c.version == bindparam("of_version"))
    .values(stage="accepted", attempt=store_files.c.attempt + 1, leased_by=null(), lease_until=null())
)
_SET_STAGE = update(store_files).where(store_files.c.version == bindparam("of_version")).values(stage=bindparam("to"))
_VISIBLE_DOCUMENTS = (
    select(_D.n, _D.id, _D.sha256)
    .join(store_files, store_files.c.version == _D.version)
    .where(
        store_files.c.store == bindparam("store"),
        store_files.c.filename == bindparam("filename"),
        store_files.c.visible == 1,
        store_files.c.version != _VERSION,
        store_files.c.chunk_size == bindparam("chunk_size"),
        store_files.c.chunk_overlap == bindparam("chunk_overlap"),
    )
)
_KNOWN = union(
    select(_D.id).join(kept_documents, kept_documents.c.document == _D.n).where(kept_documents.c.version == _VERSION),
    select(_D.id).where(_D.version == _VERSION),
)
# In a few statements with many rows each: one by one is 0.1 ms of SQLAlchemy a row, and a round trip on PostgreSQL.
_INSERT_DOCUMENTS = insert(documents).returning(_D.n, sort_by_parameter_order=True)
_INSERT_CHUNKS = insert(chunks)
_WITHOUT_VECTOR = ~exists().where(vectors.c.chunk == _K.key)
_PENDING = select(_K.key).select_from(_CHUNKS_OF_DOCUMENTS).where(_D.version == _VERSION, _WITHOUT_VECTOR)
_PENDING_KEYS = _PENDING.order_by(_K.key)
_PENDING_TEXTS = select(_K.key, _K.text, _K.headings, _K.blocks, _D.title).select_from(_CHUNKS_OF_DOCUMENTS)
_PENDING_TEXTS = _PENDING_TEXTS.where(any_of(_K.key, "keys"))
_ADD_EMBEDDED = (
    update(store_files)
    .where(store_files.c.version == bindparam("of_version"))
    .values(embedded=store_files.c.embedded + bindparam("count"), **TRIED_ANEW)
)
_THEIRS = select(func.count()).select_from(_CHUNKS_OF_DOCUMENTS)
_THEIRS = _THEIRS.where(
    or_(
        _D.version == bindparam("of_version"),
        _D.n.in_(select(kept_documents.c.document).where(kept_documents.c.version == bindparam("of_version"))),
    )
)
_COUNT_CHUNKS = (
    update(store_files)
    .where(store_files.c.version == bindparam("of_version"))
    .values(
        stage="chunked",
        documents=bindparam("of_documents"),
        chunks=_THEIRS.scalar_subquery(),
        embedded=_THEIRS.where(exists().where(vectors.c.chunk == _K.key)).scalar_subquery(),
        warnings=bindparam("of_warnings"),
        **TRIED_ANEW,
    )
)


class Versions(Repository):
    """For the ingestor: versions are integers of StoreFile.version, already known to belong to the owner.

    Pending work is not flushed to disk at each step: `Publishing.publish` does that for all that went before it.
    """

    def claim_embedder(self, attempt: Attempt, name: str, dim: int, lexical: bool = False) -> None:
        """Binds an empty vector store to a model; what another model has begun there begins anew.

        Raises EmbedderMismatch, Superseded.
        """
        with self._database.write(durable=False) as db:
            number = {"number": live_version_in_store(db, attempt).store}
            store = db.execute(_STORE, number).one()
            held = VectorSpace(store.embedder, store.dim, bool(store.lexical))
            given = VectorSpace(name, dim, lexical)
            if held == given:
                return
            if held.embedder is not None and db.execute(_HAS_VECTORS, number).first() is not None:
                raise EmbedderMismatch(
                    f"vector store {store.id!r} holds vectors of {held}, this server embeds with {given}:"
                    " use a new vector store, or that model"
                )
            db.execute(_CLAIM.values(embedder=name, dim=dim, lexical=int(lexical)), number)
            if held.embedder is not None:  # by another server, whose vectors would come yet
                for version in db.scalars(_OTHERS, {**number, "version": attempt.version}).all():
                    discard(db, version)
                    db.execute(_BEGIN_ANEW, {"of_version": version})

    def set_stage(self, attempt: Attempt, stage: FileStage) -> None:
        """Raises Superseded."""
        with self._database.write(durable=False) as db:
            live_version(db, attempt)
            db.execute(_SET_STAGE, {"of_version": attempt.version, "to": stage})

    def keep_documents(self, attempt: Attempt, wanted: Sequence[IdentifiedDocument]) -> set[str]:
        """Ids of those that need no work: unchanged in the visible version, or pending already. Raises Superseded."""
        with self._database.write(durable=False) as db:
            row = live_version_in_store(db, attempt)
            if kept := _unchanged(db, row, wanted):
                db.execute(self._database.insert(kept_documents).on_conflict_do_nothing(), kept)
            return set(db.scalars(_KNOWN, {"version": attempt.version}))

    def add_documents(self, attempt: Attempt, wanted: Sequence[tuple[IdentifiedDocument, Sequence[NewChunk]]]) -> None:
        """Pending documents with their chunks, in one transaction. Raises Superseded."""
        with self._database.write(durable=False, grows=True) as db:
            attributes = live_version(db, attempt).attributes
            rows = [_document_row(attempt.version, attributes, document) for document, _ in wanted]
            numbers = db.scalars(_INSERT_DOCUMENTS, rows).all() if rows else []
            rows = [
                _chunk_row(number, document, i, chunk)
                for number, (document, cut) in zip(numbers, wanted, strict=True)
                for i, chunk in enumerate(cut)
            ]
            if rows:
                db.execute(_INSERT_CHUNKS, rows)

    def finish_chunking(self, attempt: Attempt, count: int, warnings: Sequence[str] = ()) -> None:
        """count: documents of the file; kept and pending ones must come to that before it is published.
        warnings: of how it was read.

        Raises Superseded.
        """
        with self._database.write(durable=False) as db:
            row = live_version_in_store(db, attempt)
            reuse_vectors(db, attempt.version, row.store)
            named = {"of_version": attempt.version, "of_documents": count, "of_warnings": warnings_row(warnings)}
            db.execute(_COUNT_CHUNKS, named)

    def pending_keys(self, attempt: Attempt) -> list[int]:
        """Chunks without a vector, ascending. Raises Superseded."""
        with self._database.read() as db:
            seen_version(db, attempt)
            return list(db.scalars(_PENDING_KEYS, {"version": attempt.version}))

    def pending_texts(self, attempt: Attempt, keys: Sequence[int]) -> list[str]:
        """What is to be embedded for each of them. Raises Superseded."""
        with self._database.read() as db:
            seen_version(db, attempt)
            rows = db.execute(_PENDING_TEXTS, {"keys": keys})
            texts = {
                key: indexed_text(title, json.loads(headings), text, blocks_of(blocks) if blocks else ())
                for key, text, headings, blocks, title in rows
            }
        return [texts[key] for key in keys]

    def save_vectors(
        self,
        attempt: Attempt,
        keys: Sequence[int],
        embedded: FloatArray,
        codes: Sequence[bytes],
        weights: Sequence[bytes] | None = None,
    ) -> None:
        """embedded: (n, dim), kept as float16. weights: None where the embedder has none. Raises Superseded."""
        rows = [row.tobytes() for row in embedded.astype("<f2")]
        with self._database.write(durable=False, grows=True) as db:
            live_version(db, attempt)
            if not keys:
                return
            db.execute(insert(vectors), [{"chunk": k, "vector": v} for k, v in zip(keys, rows, strict=True)])
            db.execute(insert(token_codes), [{"chunk": k, "code": v} for k, v in zip(keys, codes, strict=True)])
            if weights is not None:
                pairs = zip(keys, weights, strict=True)
                db.execute(insert(lexical_weights), [{"chunk": k, "weights": v} for k, v in pairs])
            db.execute(_ADD_EMBEDDED, {"of_version": attempt.version, "count": len(keys)})


def chunk_id(document_id: str, document_sha256: str, position: int) -> str:
    """The same after a re-ingest of the same bytes; two equal pages of one document differ by position."""
    return "chunk_" + hashlib.sha256(f"{document_id}\n{document_sha256}\n{position}".encode()).hexdigest()[:24]


def _unchanged(db: Connection, row: Row[Any], wanted: Sequence[IdentifiedDocument]) -> list[dict[str, int]]:
    """Rows of kept_documents: what the visible version of that filename already holds."""
    by_id = {document.id: document for document in wanted}
    names = "store", "filename", "version", "chunk_size", "chunk_overlap"
    visible = db.execute(_VISIBLE_DOCUMENTS, {name: getattr(row, name) for name in names})
    return [
        {"version": row.version, "document": old.n, "ordinal": by_id[old.id].ordinal}
        for old in visible
        if old.id in by_id and by_id[old.id].sha256 == old.sha256
    ]


def _document_row(version: int, attributes: dict[str, Any], document: IdentifiedDocument) -> dict[str, Any]:
    parsed, own = document.parsed, dict(document.parsed.attributes)
    merged = {**attributes, **own}
    return {
        "version": version,
        "id": document.id,
        "ordinal": document.ordinal,
        "sha256": document.sha256,
        "external_id": parsed.external_id,
        "title": parsed.title,
        "url": parsed.url,
        "text": parsed.text,
        "own_attributes": own,
        "attributes": merged,
        "composed": composed(merged),
    }


def _chunk_row(number: int, document: IdentifiedDocument, position: int, chunk: NewChunk) -> dict[str, Any]:
    span = chunk.span
    indexed = indexed_text(document.parsed.title, span.headings, chunk.text, chunk.blocks)
    return {
        "document": number,
        "position": position,
        "id": chunk_id(document.id, document.sha256, position),
        "text": chunk.text,
        "first_char": span.start,
        "last_char": span.end,
        "headings": to_json(span.headings),
        "page": span.page,
        "token_count": span.token_count,
        "terms": " ".join(chunk.terms),
        "indexed_sha256": hashlib.sha256(indexed.encode()).digest(),
        "blocks": code_of(chunk.blocks),
        "place": place_code(span.place),
    }
