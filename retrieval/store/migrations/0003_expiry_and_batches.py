"""Chunking strategies, expiry, batches, and whether deleted bytes are left."""

from alembic import op

from retrieval.database.migration import sqlite_script

revision, down_revision = "0003", "0002"
SQL = """\
-- Chunking strategies, expiry, and batches of files.

ALTER TABLE vector_stores ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE vector_stores ADD COLUMN expires_days INTEGER;                -- after last_active_at
ALTER TABLE vector_stores ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;  -- it has been emptied, and stays so

ALTER TABLE files ADD COLUMN expires_at INTEGER;
CREATE INDEX files_by_expiry ON files (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE store_files ADD COLUMN chunk_size INTEGER NOT NULL DEFAULT 180;  -- tokens of a passage at most
ALTER TABLE store_files ADD COLUMN chunk_overlap INTEGER NOT NULL DEFAULT 40;

CREATE TABLE batches (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    store INTEGER NOT NULL REFERENCES vector_stores ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    cancelled INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX batches_by_store ON batches (store);

CREATE TABLE batch_files (
    batch INTEGER NOT NULL REFERENCES batches ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    version INTEGER NOT NULL,  -- of store_files; it may be gone
    ended TEXT,                -- the status that it had when it went
    PRIMARY KEY (batch, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_files_by_version ON batch_files (version);

CREATE TRIGGER batch_file_ends BEFORE DELETE ON store_files BEGIN
    UPDATE batch_files SET ended = CASE OLD.status WHEN 'in_progress' THEN 'cancelled' ELSE OLD.status END
    WHERE version = OLD.version;
END;

-- What was deleted may still stand in free space of the database and in segments of the indexes: see
-- retrieval/ingest/upkeep.py.
CREATE TABLE leftovers (due INTEGER NOT NULL) STRICT;
INSERT INTO leftovers VALUES (0);
CREATE TRIGGER contents_left AFTER DELETE ON contents BEGIN UPDATE leftovers SET due = 1 WHERE due = 0; END;
CREATE TRIGGER files_left AFTER DELETE ON files BEGIN UPDATE leftovers SET due = 1 WHERE due = 0; END;
CREATE TRIGGER documents_left AFTER DELETE ON documents BEGIN UPDATE leftovers SET due = 1 WHERE due = 0; END;
CREATE TRIGGER store_files_left AFTER DELETE ON store_files BEGIN UPDATE leftovers SET due = 1 WHERE due = 0; END;
CREATE TRIGGER stores_left AFTER DELETE ON vector_stores BEGIN UPDATE leftovers SET due = 1 WHERE due = 0; END;
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        sqlite_script(op.get_bind(), SQL)
