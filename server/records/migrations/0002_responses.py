"""Responses, kept with what was asked."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"
SECONDS: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "responses",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", SECONDS, nullable=False),
        sa.Column("previous_id", sa.Text),
        sa.Column("input", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
