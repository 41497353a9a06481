"""Lexical weights beside the vectors."""

from alembic import op

from retrieval.database.migration import sqlite_script

revision, down_revision = "0002", "0001"
SQL = """\
-- Learned lexical weights, of embedders that give them.

ALTER TABLE vector_stores ADD COLUMN lexical INTEGER NOT NULL DEFAULT 0;  -- whether every vector has them beside it

CREATE TABLE lexical_weights (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    weights BLOB NOT NULL                  -- token ids, then float16 (retrieval/indexes/sparse/index.py)
) STRICT;
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        sqlite_script(op.get_bind(), SQL)
