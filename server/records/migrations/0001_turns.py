"""Turns, and the file batches of that time."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None
SECONDS: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "turns",
        sa.Column("trace_id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("created", SECONDS, nullable=False),
        sa.Column("turn", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("turns_of_session", "turns", ["owner", "session_id", "created"])
    op.create_table(
        "file_batches",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("store_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("file_ids", sa.Text, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
