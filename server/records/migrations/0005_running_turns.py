"""A turn is there from its beginning, held by the server that works at it until a time."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0005", "0004"
SECONDS: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    op.add_column("turns", sa.Column("held_by", sa.Text))
    op.add_column("turns", sa.Column("held_until", SECONDS))
    held = sa.text("held_by IS NOT NULL")
    op.create_index("turns_held", "turns", ["held_by"], sqlite_where=held, postgresql_where=held)
