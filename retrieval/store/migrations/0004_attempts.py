"""Attempts at a file version."""

from alembic import op

from retrieval.database.migration import sqlite_script

revision, down_revision = "0004", "0003"
SQL = """\
-- A file version is worked through in attempts: who works at an older one than this has nothing more to write.

-- raised when it is put up again, and when it is taken up
ALTER TABLE store_files ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        sqlite_script(op.get_bind(), SQL)
