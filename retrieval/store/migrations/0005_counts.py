"""An index for the counts of files."""

from alembic import op

from retrieval.database.migration import sqlite_script

revision, down_revision = "0005", "0004"
SQL = """\
-- The counts of a vector store's files, and their bytes, are read from this index alone (benchmarks/store/resolve.py).

CREATE INDEX store_files_by_status ON store_files (store, status, usage_bytes);
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        sqlite_script(op.get_bind(), SQL)
