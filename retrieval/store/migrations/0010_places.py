"""Where a passage stands in its file: pages, boxes, slide, sheet, cells. Passages of before know their page alone."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0010", "0009"


def upgrade() -> None:
    op.add_column("chunks", sa.Column("place", sa.Text))
