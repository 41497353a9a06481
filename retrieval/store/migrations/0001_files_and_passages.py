"""Vector stores, files, passages and their vectors, and the change log."""

from alembic import op

from retrieval.database.migration import sqlite_script

revision, down_revision = "0001", None
SQL = """\
-- The truth. Times are Unix seconds, JSON is text without escapes of non-ASCII characters.

CREATE TABLE vector_stores (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_active_at INTEGER NOT NULL,
    embedder TEXT,                         -- of the vectors inside; null before the first one
    dim INTEGER,
    log_floor INTEGER NOT NULL DEFAULT 0   -- changes up to here have been trimmed
) STRICT;
CREATE INDEX vector_stores_by_owner ON vector_stores (owner, name);

CREATE TABLE contents (
    sha256 TEXT PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

CREATE TABLE files (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    filename TEXT NOT NULL,
    media_type TEXT NOT NULL,
    purpose TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES contents,
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (owner, purpose, filename, sha256)
) STRICT;
CREATE INDEX files_by_content ON files (sha256);

-- A version of a file inside a vector store. At most one version of a filename is visible.
CREATE TABLE store_files (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    store INTEGER NOT NULL REFERENCES vector_stores ON DELETE CASCADE,
    file INTEGER NOT NULL REFERENCES files,
    filename TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'in_progress'
        CHECK (status IN ('in_progress', 'completed', 'failed', 'cancelled')),
    stage TEXT NOT NULL DEFAULT 'accepted'
        CHECK (stage IN ('accepted', 'parsed', 'chunked', 'embedded', 'indexed')),
    visible INTEGER NOT NULL DEFAULT 0,
    error_code TEXT,
    error_message TEXT,
    attributes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    usage_bytes INTEGER NOT NULL DEFAULT 0,
    documents INTEGER NOT NULL DEFAULT 0,  -- kept ones included
    chunks INTEGER NOT NULL DEFAULT 0,
    embedded INTEGER NOT NULL DEFAULT 0,
    UNIQUE (store, filename, sha256)
) STRICT;
CREATE UNIQUE INDEX store_files_visible ON store_files (store, filename) WHERE visible = 1;
CREATE INDEX store_files_by_file ON store_files (file);
CREATE INDEX store_files_unfinished ON store_files (version) WHERE status = 'in_progress';

CREATE TABLE documents (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    version INTEGER NOT NULL REFERENCES store_files ON DELETE CASCADE,
    id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    external_id TEXT NOT NULL,
    title TEXT NOT NULL,
    url TEXT NOT NULL,
    text TEXT NOT NULL,
    own_attributes TEXT NOT NULL,          -- the document's
    attributes TEXT NOT NULL,              -- the file's, overlaid with the document's
    UNIQUE (version, id)
) STRICT;

-- Unchanged documents of the visible version that a pending version will take over.
CREATE TABLE kept_documents (
    version INTEGER NOT NULL REFERENCES store_files ON DELETE CASCADE,
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (version, document)
) STRICT;
CREATE INDEX kept_documents_by_document ON kept_documents (document);

CREATE TABLE chunks (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    position INTEGER NOT NULL,
    id TEXT NOT NULL,
    text TEXT NOT NULL,
    first_char INTEGER NOT NULL,
    last_char INTEGER NOT NULL,            -- exclusive
    headings TEXT NOT NULL,
    page INTEGER,
    token_count INTEGER NOT NULL,
    terms TEXT NOT NULL,                   -- joined by spaces
    indexed_sha256 BLOB NOT NULL,          -- of the text that is embedded
    UNIQUE (document, position)
) STRICT;
CREATE INDEX chunks_by_indexed_text ON chunks (indexed_sha256);

CREATE TABLE vectors (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    vector BLOB NOT NULL                   -- float16, little-endian
) STRICT;

CREATE TABLE token_codes (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    code BLOB NOT NULL
) STRICT;

CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    store INTEGER NOT NULL REFERENCES vector_stores ON DELETE CASCADE,
    chunk INTEGER NOT NULL,
    added INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_by_store ON changes (store, seq);
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        sqlite_script(op.get_bind(), SQL)
