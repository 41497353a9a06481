"""A file in a vector store has a row of its own, also where it shares its version with others of its name and bytes.

Each version of before was one file's: its attachment gets its number, so that batches, which named versions, name
attachments without a change.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision, down_revision = "0009", "0008"
LONG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ATTRIBUTES = sa.Text().with_variant(JSONB(), "postgresql")
COPY = """
INSERT INTO attachments (n, store, version, file, attributes, created_at)
    SELECT version, store, version, file, attributes, created_at FROM store_files ORDER BY version"""
# The next number is none that a batch may name, also of versions that are gone.
SQLITE_NUMBER = (
    "DELETE FROM sqlite_sequence WHERE name = 'attachments'",
    "INSERT INTO sqlite_sequence (name, seq) SELECT 'attachments', seq FROM sqlite_sequence WHERE name = 'store_files'",
)
POSTGRESQL_NUMBER = """
SELECT setval(pg_get_serial_sequence('attachments', 'n'), 1 + greatest(
    (SELECT coalesce(max(version), 0) FROM store_files), (SELECT coalesce(max(version), 0) FROM batch_files)), false)"""


def upgrade() -> None:
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    op.create_table(
        "attachments",
        sa.Column("n", LONG, sa.Identity(), primary_key=True),
        _of("vector_stores.n", "store"),
        _of("store_files.version", "version"),
        sa.Column("file", LONG, sa.ForeignKey("files.n"), nullable=False),
        sa.Column("attributes", ATTRIBUTES, nullable=False),
        sa.Column("created_at", LONG, nullable=False),
        sqlite_autoincrement=True,
        sqlite_strict=True,
    )
    op.create_index("attachments_by_store", "attachments", ["store", "n"])
    op.create_index("attachments_by_file", "attachments", ["file"])
    op.create_index("attachments_by_version", "attachments", ["version"])
    for statement in (COPY, *(SQLITE_NUMBER if sqlite else (POSTGRESQL_NUMBER,))):
        connection.exec_driver_sql(statement)
    op.add_column("store_files", sa.Column("files", sa.Integer, nullable=False, server_default=sa.text("1")))
    op.drop_index("store_files_by_status", "store_files")
    op.create_index("store_files_by_status", "store_files", ["store", "status", "usage_bytes", "files"])
    op.drop_index("batch_files_by_version", "batch_files")
    connection.exec_driver_sql("ALTER TABLE batch_files RENAME COLUMN version TO attachment")
    op.create_index("batch_files_by_attachment", "batch_files", ["attachment"])


def _of(column: str, name: str) -> sa.Column[int]:
    return sa.Column(name, LONG, sa.ForeignKey(column, ondelete="CASCADE"), nullable=False)
