"""A file version on its way into a vector store: pending documents, then vectors, then visible in one transaction.

Chunks get their integer keys when they are pending; nothing that searches sees them before `publish` writes the change
log. Every step is a transaction that first checks that the version is still wanted and its attempt the latest, and
raises Superseded if not.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence

from models.base import FloatArray
from retrieval.store.database import Database, to_json
from retrieval.store.rows import live_version
from retrieval.store.types import Attempt, EmbedderMismatch, FileStage, IngestJob, VectorSpace
from retrieval.types import Chunking, IdentifiedDocument, NewChunk, indexed_text


class Versions(Database):
    """For the ingestor: versions are integers of StoreFile.version, already known to belong to the owner.

    Pending work is not flushed to disk at each step: `publish` does that for all that went before it.
    """

    def unfinished(self) -> list[int]:
        """Versions in progress, oldest first."""
        with self.read() as db:
            rows = db.execute("SELECT version FROM store_files WHERE status = 'in_progress' ORDER BY version")
            return [row["version"] for row in rows]

    def take_up(self, version: int) -> IngestJob:
        """Begins an attempt: who was at an earlier one has nothing more to write. Raises Superseded."""
        sql = "UPDATE store_files SET attempt = attempt + 1 WHERE version = ? RETURNING attempt"
        with self.write(durable=False) as db:
            raised = db.execute(sql, (version,)).fetchone()
            attempt = Attempt(version, raised["attempt"] if raised else 0)
            row = live_version(db, attempt)
            file = db.execute("SELECT * FROM files WHERE n = ?", (row["file"],)).fetchone()
            store = db.execute("SELECT * FROM vector_stores WHERE n = ?", (row["store"],)).fetchone()
            return IngestJob(
                attempt=attempt,
                owner=store["owner"],
                store_id=store["id"],
                file_id=file["id"],
                filename=file["filename"],
                media_type=file["media_type"],
                stage=row["stage"],
                visible=bool(row["visible"]),
                chunking=Chunking(row["chunk_size"], row["chunk_overlap"]),
            )

    def claim_embedder(self, attempt: Attempt, name: str, dim: int, lexical: bool = False) -> None:
        """Binds an empty vector store to a model. Raises EmbedderMismatch, Superseded."""
        with self.write(durable=False) as db:
            number = live_version(db, attempt)["store"]
            store = db.execute("SELECT * FROM vector_stores WHERE n = ?", (number,)).fetchone()
            held = VectorSpace(store["embedder"], store["dim"], bool(store["lexical"]))
            given = VectorSpace(name, dim, lexical)
            if held == given:
                return
            if held.embedder is not None and _has_vectors(db, store["n"]):
                raise EmbedderMismatch(
                    f"vector store {store['id']!r} holds vectors of {held}, this server embeds with {given}:"
                    " use a new vector store, or that model"
                )
            sql = "UPDATE vector_stores SET embedder = ?, dim = ?, lexical = ? WHERE n = ?"
            db.execute(sql, (*given, store["n"]))

    def set_stage(self, attempt: Attempt, stage: FileStage) -> None:
        """Raises Superseded."""
        with self.write(durable=False) as db:
            live_version(db, attempt)
            db.execute("UPDATE store_files SET stage = ? WHERE version = ?", (stage, attempt.version))

    def keep_documents(self, attempt: Attempt, documents: Sequence[IdentifiedDocument]) -> set[str]:
        """Ids of those that need no work: unchanged in the visible version, or pending already. Raises Superseded."""
        with self.write(durable=False) as db:
            row = live_version(db, attempt)
            db.executemany(
                "INSERT OR IGNORE INTO kept_documents (version, document, ordinal) VALUES (?, ?, ?)",
                _unchanged(db, row, documents),
            )
            kept = "SELECT d.id FROM kept_documents k JOIN documents d ON d.n = k.document WHERE k.version = :version"
            own = "SELECT id FROM documents WHERE version = :version"
            return {found["id"] for found in db.execute(f"{kept} UNION {own}", {"version": attempt.version})}

    def add_documents(
        self, attempt: Attempt, documents: Iterable[tuple[IdentifiedDocument, Sequence[NewChunk]]]
    ) -> None:
        """Pending documents with their chunks, in one transaction. Raises Superseded."""
        with self.write(durable=False) as db:
            attributes = live_version(db, attempt)["attributes"]
            for document, chunks in documents:
                number = _insert_document(db, attempt.version, attributes, document)
                db.executemany(
                    _INSERT_CHUNK, [_chunk_row(number, document, i, chunk) for i, chunk in enumerate(chunks)]
                )

    def finish_chunking(self, attempt: Attempt, documents: int) -> None:
        """documents: how many the file has; kept and pending ones must come to that before it is published."""
        with self.write(durable=False) as db:
            row = live_version(db, attempt)
            _reuse_vectors(db, attempt.version, row["store"])
            db.execute(_COUNT_CHUNKS, {"version": attempt.version, "documents": documents})


class Vectors(Database):
    """For the ingestor: of a version's pending passages, token codes and lexical weights beside them."""

    def pending_keys(self, attempt: Attempt) -> list[int]:
        """Chunks without a vector, ascending. Raises Superseded."""
        with self.read() as db:
            live_version(db, attempt)
            rows = db.execute(
                "SELECT c.key FROM documents d JOIN chunks c ON c.document = d.n WHERE d.version = ?"
                " AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.key) ORDER BY c.key",
                (attempt.version,),
            )
            return [row["key"] for row in rows]

    def pending_texts(self, attempt: Attempt, keys: Sequence[int]) -> list[str]:
        """What is to be embedded for each of them. Raises Superseded."""
        with self.read() as db:
            live_version(db, attempt)
            rows = db.execute(
                "SELECT c.key, c.text, c.headings, d.title FROM chunks c JOIN documents d ON d.n = c.document"
                " WHERE c.key IN (SELECT value FROM json_each(?))",
                (json.dumps(keys),),
            )
            texts = {row["key"]: indexed_text(row["title"], json.loads(row["headings"]), row["text"]) for row in rows}
        return [texts[key] for key in keys]

    def save_vectors(
        self,
        attempt: Attempt,
        keys: Sequence[int],
        vectors: FloatArray,
        codes: Sequence[bytes],
        weights: Sequence[bytes] | None = None,
    ) -> None:
        """vectors: (n, dim), kept as float16. weights: None where the embedder has none. Raises Superseded."""
        rows = [row.tobytes() for row in vectors.astype("<f2")]
        with self.write(durable=False) as db:
            live_version(db, attempt)
            db.executemany("INSERT INTO vectors (chunk, vector) VALUES (?, ?)", zip(keys, rows, strict=True))
            db.executemany("INSERT INTO token_codes (chunk, code) VALUES (?, ?)", zip(keys, codes, strict=True))
            if weights is not None:
                sql = "INSERT INTO lexical_weights (chunk, weights) VALUES (?, ?)"
                db.executemany(sql, zip(keys, weights, strict=True))
            db.execute("UPDATE store_files SET embedded = embedded + ? WHERE version = ?", (len(keys), attempt.version))


_OF_VERSION = (
    "(SELECT n FROM documents WHERE version = :version"
    " UNION SELECT document FROM kept_documents WHERE version = :version) d JOIN chunks c ON c.document = d.n WHERE 1"
)
_COUNT_CHUNKS = (
    "UPDATE store_files SET stage = 'chunked', documents = :documents,"  # noqa: S608
    f" chunks = (SELECT count(*) FROM {_OF_VERSION}),"
    f" embedded = (SELECT count(*) FROM {_OF_VERSION} AND c.key IN (SELECT chunk FROM vectors))"
    " WHERE version = :version"
)
_INSERT_CHUNK = (
    "INSERT INTO chunks (document, position, id, text, first_char, last_char, headings, page, token_count, terms,"
    " indexed_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def chunk_id(document_id: str, document_sha256: str, position: int) -> str:
    """The same after a re-ingest of the same bytes; two equal pages of one document differ by position."""
    return "chunk_" + hashlib.sha256(f"{document_id}\n{document_sha256}\n{position}".encode()).hexdigest()[:24]


def _has_vectors(db: sqlite3.Connection, store: int) -> bool:
    row = db.execute(
        "SELECT 1 FROM store_files a JOIN documents d ON d.version = a.version JOIN chunks c ON c.document = d.n"
        " JOIN vectors v ON v.chunk = c.key WHERE a.store = ? LIMIT 1",
        (store,),
    ).fetchone()
    return row is not None


def _unchanged(
    db: sqlite3.Connection, row: sqlite3.Row, documents: Sequence[IdentifiedDocument]
) -> list[tuple[int, int, int]]:
    """(version, document, ordinal) of what the visible version of that filename already holds."""
    wanted = {document.id: document for document in documents}
    visible = db.execute(
        "SELECT d.n, d.id, d.sha256 FROM store_files a JOIN documents d ON d.version = a.version"
        " WHERE a.store = ? AND a.filename = ? AND a.visible = 1 AND a.version <> ?"
        " AND a.chunk_size = ? AND a.chunk_overlap = ?",
        (row["store"], row["filename"], row["version"], row["chunk_size"], row["chunk_overlap"]),
    )
    return [
        (row["version"], old["n"], wanted[old["id"]].ordinal)
        for old in visible
        if old["id"] in wanted and wanted[old["id"]].sha256 == old["sha256"]
    ]


def _insert_document(db: sqlite3.Connection, version: int, attributes: str, document: IdentifiedDocument) -> int:
    parsed, own = document.parsed, to_json(document.parsed.attributes)
    cursor = db.execute(
        "INSERT INTO documents (version, id, ordinal, sha256, external_id, title, url, text, own_attributes,"
        " attributes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, json_patch(?, ?))",
        (
            *(version, document.id, document.ordinal, document.sha256),
            *(parsed.external_id, parsed.title, parsed.url, parsed.text, own, attributes, own),
        ),
    )
    number = cursor.lastrowid
    assert number is not None
    return number


def _chunk_row(
    number: int, document: IdentifiedDocument, position: int, chunk: NewChunk
) -> tuple[str | int | bytes | None, ...]:
    span = chunk.span
    indexed = indexed_text(document.parsed.title, span.headings, chunk.text)
    return (
        *(number, position, chunk_id(document.id, document.sha256, position), chunk.text, span.start, span.end),
        *(to_json(span.headings), span.page, span.token_count, " ".join(chunk.terms)),
        hashlib.sha256(indexed.encode()).digest(),
    )


def _reuse_vectors(db: sqlite3.Connection, version: int, store: int) -> None:
    """Copies what the vector store already holds for the same indexed text."""
    pairs = db.execute(
        "SELECT c.key, (SELECT v.chunk FROM chunks o JOIN vectors v ON v.chunk = o.key"
        "   JOIN documents od ON od.n = o.document JOIN store_files oa ON oa.version = od.version"
        "   WHERE o.indexed_sha256 = c.indexed_sha256 AND oa.store = ? LIMIT 1) AS source"
        " FROM documents d JOIN chunks c ON c.document = d.n"
        " WHERE d.version = ? AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.key)",
        (store, version),
    ).fetchall()
    known = [(pair["key"], pair["source"]) for pair in pairs if pair["source"] is not None]
    db.executemany("INSERT INTO vectors (chunk, vector) SELECT ?, vector FROM vectors WHERE chunk = ?", known)
    db.executemany("INSERT INTO token_codes (chunk, code) SELECT ?, code FROM token_codes WHERE chunk = ?", known)
    db.executemany(
        "INSERT INTO lexical_weights (chunk, weights) SELECT ?, weights FROM lexical_weights WHERE chunk = ?", known
    )
