"""The store on PostgreSQL too: bytes in parts, a change log a vector store, leases, who follows; no triggers.

On SQLite, what is there becomes the same without losing a row or a number. A vector store's own `head` takes over from
the sequence that all change logs shared; its indexes on disk know their place in the log by seq, so every seq stays.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from retrieval.database.migration import sqlite_script

revision, down_revision = "0006", "0005"
LONG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SECONDS: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
ZERO = sa.text("0")

# Triggers first: SQLite renames no table while one of them names a table that is gone.
SQLITE_BEFORE = """
DROP TRIGGER batch_file_ends;
DROP TRIGGER contents_left;
DROP TRIGGER files_left;
DROP TRIGGER documents_left;
DROP TRIGGER store_files_left;
DROP TRIGGER stores_left;
DROP TABLE leftovers;

ALTER TABLE vector_stores ADD COLUMN head INTEGER NOT NULL DEFAULT 0;
UPDATE vector_stores SET head = max(log_floor, coalesce((SELECT max(seq) FROM changes WHERE store = n), 0));
ALTER TABLE store_files ADD COLUMN leased_by TEXT;
ALTER TABLE store_files ADD COLUMN lease_until REAL;

-- Without the foreign key to contents, by sqlite.org/lang_altertable.html#otheralter: made under another name, as
-- references to the old one would follow it. The highest number goes along, also where its file is gone.
CREATE TABLE files_new (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    filename TEXT NOT NULL,
    media_type TEXT NOT NULL,
    purpose TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    UNIQUE (owner, purpose, filename, sha256)
) STRICT;
INSERT INTO sqlite_sequence (name, seq) SELECT 'files_new', seq FROM sqlite_sequence WHERE name = 'files';
INSERT INTO files_new (n, id, owner, filename, media_type, purpose, sha256, bytes, created_at, expires_at)
    SELECT n, id, owner, filename, media_type, purpose, sha256, bytes, created_at, expires_at FROM files;
DROP TABLE files;
ALTER TABLE files_new RENAME TO files;
CREATE INDEX files_by_content ON files (sha256);
CREATE INDEX files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE changes RENAME TO changes_old;
"""
SQLITE_AFTER = """
INSERT INTO changes (store, seq, chunk, added)
    SELECT store, seq, chunk, added FROM changes_old ORDER BY store, seq;
DROP TABLE changes_old;

INSERT INTO blobs (sha256, bytes) SELECT sha256, length(content) FROM contents ORDER BY sha256;
INSERT INTO blob_parts (sha256, part, content) SELECT sha256, 0, content FROM contents;
DROP TABLE contents;
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        sqlite_script(op.get_bind(), SQLITE_BEFORE)
        _make_blobs()
        _make_log()
        sqlite_script(op.get_bind(), SQLITE_AFTER)
    else:
        _make_vector_stores()
        _make_files()
        _make_store_files()
        _make_documents()
        _make_chunks()
        _make_batches()
        _make_blobs()
        _make_log()


def _make_blobs() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("bytes", LONG, nullable=False),
        sa.Column("doomed", sa.Integer, nullable=False, server_default=ZERO),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    doomed = sa.text("doomed = 1")
    op.create_index("blobs_doomed", "blobs", ["sha256"], sqlite_where=doomed, postgresql_where=doomed)
    op.create_table(
        "blob_parts",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )


def _make_log() -> None:
    op.create_table(
        "changes",
        _of("vector_stores.n", "store", primary_key=True),
        sa.Column("seq", LONG, primary_key=True),
        sa.Column("chunk", LONG, nullable=False),
        sa.Column("added", sa.Integer, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "index_cursors",
        _of("vector_stores.n", "store", primary_key=True),
        sa.Column("index", sa.Text, primary_key=True),
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("applied", LONG, nullable=False),
        sa.Column("seen_at", LONG, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "consumers",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("due", sa.Integer, nullable=False, server_default=ZERO),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, sa.Identity(), primary_key=True)


def _of(row: str, name: str, *, primary_key: bool = False) -> sa.Column[int]:
    """Goes with the row that it refers to."""
    return sa.Column(name, LONG, sa.ForeignKey(row, ondelete="CASCADE"), nullable=False, primary_key=primary_key)


def _make_vector_stores() -> None:
    op.create_table(
        "vector_stores",
        _number("n"),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_active_at", sa.BigInteger, nullable=False),
        sa.Column("expires_days", sa.Integer),
        sa.Column("expired", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("embedder", sa.Text),
        sa.Column("dim", sa.Integer),
        sa.Column("lexical", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("head", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("log_floor", sa.BigInteger, nullable=False, server_default=ZERO),
    )
    op.create_index("vector_stores_by_owner", "vector_stores", ["owner", "name"])


def _make_files() -> None:
    op.create_table(
        "files",
        _number("n"),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.UniqueConstraint("owner", "purpose", "filename", "sha256"),
    )
    op.create_index("files_by_content", "files", ["sha256"])
    op.create_index("files_by_expiry", "files", ["expires_at"], postgresql_where=sa.text("expires_at IS NOT NULL"))


def _make_store_files() -> None:
    op.create_table(
        "store_files",
        _number("version"),
        _of("vector_stores.n", "store"),
        sa.Column("file", sa.BigInteger, sa.ForeignKey("files.n"), nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default=sa.text("'in_progress'")),
        sa.Column("stage", sa.Text, nullable=False, server_default=sa.text("'accepted'")),
        sa.Column("visible", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("error_code", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("usage_bytes", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("documents", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("chunks", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("embedded", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("chunk_size", sa.Integer, nullable=False, server_default=sa.text("180")),
        sa.Column("chunk_overlap", sa.Integer, nullable=False, server_default=sa.text("40")),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=ZERO),
        sa.Column("leased_by", sa.Text),
        sa.Column("lease_until", SECONDS),
        sa.CheckConstraint("status IN ('in_progress', 'completed', 'failed', 'cancelled')"),
        sa.CheckConstraint("stage IN ('accepted', 'parsed', 'chunked', 'embedded', 'indexed')"),
        sa.UniqueConstraint("store", "filename", "sha256"),
    )
    visible, unfinished = sa.text("visible = 1"), sa.text("status = 'in_progress'")
    names = ["store", "filename"]
    op.create_index("store_files_visible", "store_files", names, unique=True, postgresql_where=visible)
    op.create_index("store_files_by_file", "store_files", ["file"])
    op.create_index("store_files_by_status", "store_files", ["store", "status", "usage_bytes"])
    op.create_index("store_files_unfinished", "store_files", ["version"], postgresql_where=unfinished)


def _make_documents() -> None:
    op.create_table(
        "documents",
        _number("n"),
        _of("store_files.version", "version"),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("own_attributes", JSONB, nullable=False),
        sa.Column("attributes", JSONB, nullable=False),
        sa.UniqueConstraint("version", "id"),
    )
    op.create_table(
        "kept_documents",
        _of("store_files.version", "version", primary_key=True),
        _of("documents.n", "document", primary_key=True),
        sa.Column("ordinal", sa.Integer, nullable=False),
    )
    op.create_index("kept_documents_by_document", "kept_documents", ["document"])


def _make_chunks() -> None:
    op.create_table(
        "chunks",
        _number("key"),
        _of("documents.n", "document"),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("first_char", sa.Integer, nullable=False),
        sa.Column("last_char", sa.Integer, nullable=False),
        sa.Column("headings", sa.Text, nullable=False),
        sa.Column("page", sa.Integer),
        sa.Column("token_count", sa.Integer, nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("indexed_sha256", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("document", "position"),
    )
    op.create_index("chunks_by_indexed_text", "chunks", ["indexed_sha256"])
    for table, column in (("vectors", "vector"), ("token_codes", "code"), ("lexical_weights", "weights")):
        chunk = _of("chunks.key", "chunk", primary_key=True)
        op.create_table(table, chunk, sa.Column(column, sa.LargeBinary, nullable=False))


def _make_batches() -> None:
    op.create_table(
        "batches",
        _number("n"),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        _of("vector_stores.n", "store"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("cancelled", sa.Integer, nullable=False, server_default=ZERO),
    )
    op.create_index("batches_by_store", "batches", ["store"])
    op.create_table(
        "batch_files",
        _of("batches.n", "batch", primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.Text),
    )
    op.create_index("batch_files_by_version", "batch_files", ["version"])
