"""They are in the store now, where their files are."""

from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    op.drop_table("file_batches")
