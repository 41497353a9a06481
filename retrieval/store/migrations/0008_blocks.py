"""What the parser knew of a passage's parts, for quotations. Passages of before have none: their text is looked at."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0008", "0007"


def upgrade() -> None:
    op.add_column("chunks", sa.Column("blocks", sa.Text))
